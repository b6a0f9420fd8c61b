// posthog-js on pages of another site, each as a visitor of its own.
import { createServer } from 'node:http'
import puppeteer from 'puppeteer-core'
import { eventsOutcome, tryAll } from './steps.mjs'

const [chromium] = process.argv.slice(2)
// posthog-js repeats after 3 to 6 seconds.
const PATIENCE_MS = 25_000
const MARKERS = [0, 1, 2, 3, 4, 5]

const site = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>Shop</title>')
})
await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))
const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update'],
})

async function run(server) {
  const context = await browser.createBrowserContext()
  try {
    const page = await context.newPage()
    const troubles = []
    page.on('console', (line) => {
      if (['warn', 'error'].includes(line.type()) && line.text().includes('PostHog')) troubles.push(line.text())
    })
    await page.goto(`http://127.0.0.1:${site.address().port}/`)
    await page.addScriptTag({ url: `${server.url}/static/array.js` })
    await page.evaluate(
      (host, token, markers) => {
        posthog.init(token, { api_host: host, capture_pageview: false, capture_pageleave: false, autocapture: false, opt_out_useragent_filter: true })
        for (const marker of markers) posthog.capture('seen', { marker })
      },
      server.url,
      server.projectToken,
      MARKERS,
    )
    await server.events('seen', { waitCount: MARKERS.length, waitMs: PATIENCE_MS })
    // Whoever would send twice does so now.
    const before = await server.requests('POST /e/')
    if (before.some((request) => request.fault !== null)) await new Promise((resolve) => setTimeout(resolve, 1000))
    return await eventsOutcome(server, MARKERS, troubles)
  } finally {
    await context.close()
  }
}

// What it sends events with. Scripts are fetched by the browser, and flags are no write.
const isOfLibrary = (request) => request.row === '/e/'
try {
  await tryAll('posthog-js', run, { workers: 10, only: isOfLibrary })
} finally {
  await browser.close()
  site.close()
}
