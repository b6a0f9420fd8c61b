// posthog-js on pages of another site, each as a visitor of its own: events before and after the page knows its settings,
// flags, and a recording of the session.
import { createServer } from 'node:http'
import puppeteer from 'puppeteer-core'
import { eventsOutcome, tryAll } from './steps.mjs'

const [chromium] = process.argv.slice(2)
// posthog-js repeats after 3 to 6 seconds.
const PATIENCE_MS = 20_000
const MARKERS = [0, 1, 2, 3, 4, 5]
// orgd's own settings say that there are no recordings, and the library would send none.
const SETTINGS = {
  supportedCompression: ['gzip-js'],
  hasFeatureFlags: true,
  analytics: { endpoint: '/i/v0/e/' },
  sessionRecording: { endpoint: '/s/' },
}

const site = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>Shop</title><p>Shop')
})
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))
const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update'],
})

/** Opens a page with the library, which captures the first half of the events at once. */
async function open(context, server, troubles) {
  const page = await context.newPage()
  page.on('console', (line) => {
    if (['warn', 'error'].includes(line.type()) && line.text().includes('PostHog')) troubles.push(line.text())
  })
  await page.goto(`http://127.0.0.1:${site.address().port}/`)
  await page.addScriptTag({ url: `${server.url}/static/array.js` })
  await page.evaluate(
    (host, token, markers) => {
      window.flags = new Promise((resolve) => { window.flagsCame = resolve })
      posthog.init(token, { api_host: host, capture_pageview: false, capture_pageleave: false, autocapture: false, opt_out_useragent_filter: true })
      posthog.onFeatureFlags(() => window.flagsCame(true))
      for (const marker of markers) posthog.capture('seen', { marker })
    },
    server.url,
    server.projectToken,
    MARKERS.slice(0, 3),
  )
  return page
}

/** Runs `work` with a page of a browser of its own, on a server that says what this program wants of pages. */
async function visit(server, work) {
  await server.fail('GET /array/{token}/config.js', { status: 404, text: '' })
  await server.fail('GET /array/{token}/config/', { status: 200, json: SETTINGS })
  const context = await browser.createBrowserContext()
  try {
    const troubles = []
    return await work(await open(context, server, troubles), troubles)
  } finally {
    await context.close()
  }
}

const events = (server) =>
  visit(server, async (page, troubles) => {
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS / 2, false))
    const came = await Promise.race([page.evaluate(() => window.flags), patience])
    await page.evaluate((markers) => {
      for (const marker of markers) posthog.capture('seen', { marker })
    }, MARKERS.slice(3))
    await server.events('seen', { waitCount: MARKERS.length, waitMs: PATIENCE_MS })
    // Whoever would send twice does so now.
    const sent = await server.requests()
    if (sent.some((request) => SENDS.includes(request.row) && request.fault !== null)) await new Promise((resolve) => setTimeout(resolve, 1000))
    return `${await eventsOutcome(server, MARKERS, troubles)}; ${came ? 'flags' : 'no flags'}`
  })

/** Whether a recording arrives, if need be by a second try. */
const recording = (server) =>
  visit(server, async (page, troubles) => {
    // The library fetches the recorder first.
    await page.waitForFunction(() => posthog.sessionRecording?.status === 'active', { timeout: 3 * PATIENCE_MS })
    await page.mouse.click(60, 60)
    for (const waitCount of [1, 2]) {
      const all = await server.requests('POST /s/', { waitCount, waitMs: PATIENCE_MS })
      if (all.some((request) => request.fault === null)) return 'a recording'
    }
    return `the recording is lost, and ${troubles.length > 0 ? 'said so' : 'NOTHING SAID'}`
  })

// Scripts are fetched by the browser. How often a recording is sent depends on how much happens.
const SENDS = ['/e/', '/i/v0/e/']
const ROWS = [...SENDS, '/flags/', '/array/{token}/config/']
let recordings = 0
try {
  await Promise.all([
    tryAll('posthog-js', events, { workers: 8, only: (request) => ROWS.includes(request.row) }),
    tryAll('posthog-js recording', recording, { workers: 5, only: (request) => request.row === '/s/' && recordings++ === 0, spoilt: [] }),
  ])
} finally {
  await browser.close()
  site.close()
}
