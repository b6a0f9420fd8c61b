// Opens a page of another site with posthog-js in headless Chromium, which sends events and evaluates flags. Prints
// the names of all events that were sent as JSON; fails where the console shows a warning or an error, or a request
// does not succeed.
import { createServer } from 'node:http'
import puppeteer from 'puppeteer-core'

const [host, token, chromium] = process.argv.slice(2)
const html = `<!doctype html><title>Shop</title><button id="buy">Buy</button><script>
window.sent = []; window.loads = new Promise((resolve) => { window.loaded = resolve })
</script><script src="${host}/array/${token}/config.js"></script><script src="${host}/static/array.js"></script><script>
posthog.init('${token}', {
  api_host: '${host}', capture_pageleave: false, opt_out_useragent_filter: true, loaded: () => window.loaded(),
  before_send: (event) => { if (event) window.sent.push(event.event); return event },
})
</script>`
const site = createServer((request, response) => {
  if (request.url === '/favicon.ico') return response.writeHead(204).end()
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html)
})
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))

const troubles = []
const waiting = new Set()
const browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-quic'] })
try {
  const page = await browser.newPage()
  page.on('console', (line) => {
    if (['warn', 'warning', 'error'].includes(line.type())) troubles.push(`console ${line.type()}: ${line.text()}`)
  })
  page.on('pageerror', (error) => troubles.push(`page: ${error.message}`))
  page.on('request', (request) => waiting.add(request))
  page.on('requestfinished', (request) => waiting.delete(request))
  page.on('requestfailed', (request) => {
    waiting.delete(request)
    troubles.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${response.status()} ${response.url()}`)
  })
  await page.goto(`http://127.0.0.1:${site.address().port}/`)
  await page.evaluate(() => window.loads)
  await page.click('#buy')
  await page.evaluate(async () => {
    for (let number = 0; number < 20; number++) posthog.capture('js', { number, cut: '😀'.slice(0, 1) })
    posthog.identify('person 1', { name: 'Ada' })
    posthog.group('company', 'acme', { size: 3 })
    posthog.setPersonProperties({ likes: 'tests' })
    await new Promise((resolve) => { posthog.onFeatureFlags(resolve); posthog.reloadFeatureFlags() })
    posthog.isFeatureEnabled('none')
    posthog.getFeatureFlag('none')
    posthog.captureException(new Error('on purpose'))
  })
  // Batches leave after three seconds.
  await new Promise((resolve) => setTimeout(resolve, 5000))
  for (let tries = 0; waiting.size > 0 && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 100))
  process.stdout.write(JSON.stringify(await page.evaluate(() => window.sent)))
} finally {
  await browser.close()
  site.close()
}
if (troubles.length > 0) {
  process.stderr.write(`posthog-js had trouble:\n${troubles.join('\n')}\n`)
  process.exitCode = 1
}
