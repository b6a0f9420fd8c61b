// Runs the console in a browser: node main.mjs PROGRAM CHROMIUM [walk|flows|looks FOLDER]…
import { launch } from './browser.mjs'
import { flows } from './flows.mjs'
import { walk } from './walk.mjs'

const [program, chromium, what = 'all'] = process.argv.slice(2)
const browser = await launch(chromium)
const faults = []
try {
  if (['all', 'walk'].includes(what)) {
    const started = Date.now()
    const walked = await walk(program, browser)
    for (const [fault, where] of walked.faults) faults.push(`${fault}\n    ${where.length} times, first: ${where[0]}`)
    console.log(`walk: ${JSON.stringify(walked.counts)}, ${(Date.now() - started) / 1000} s`)
  }
  if (['all', 'flows'].includes(what)) {
    const started = Date.now()
    const went = await flows(program, browser, process.argv[5])
    faults.push(...went.faults)
    console.log(`flows: ${went.count}, ${(Date.now() - started) / 1000} s`)
  }
} finally {
  await browser.close()
}
for (const fault of faults) console.error(fault)
if (faults.length > 0) process.exit(1)
