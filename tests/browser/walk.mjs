// Every page, as everybody: followed from link to link, then looked at from all sides.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { focused, markControls, ofDocument, ofLayout } from './checks.mjs'
import { DESKTOP, Visitor } from './browser.mjs'
import { routes } from './server.mjs'
import { world } from './world.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const SMALLEST = { width: 320, height: 640 }
/** What programs call. */
const NO_PAGE = /^\/(api|static|array|batch|capture|decide|e|engage|flags|i|s|track|_[a-z]*)(\/|$)/
/** The size of a page; names as unkind as these may double it. */
const BYTES_MAX = 60 * 1024
/** So many addresses of one route are looked at, for one caller. */
const OF_ONE_ROUTE = 2

/** Which route serves a path: of those that fit, the one with the fewest parameters. */
class Table {
  constructor(program) {
    const gets = routes(program).filter(({ method, path }) => method === 'GET' && !NO_PAGE.test(path))
    this.all = [...new Set(gets.map(({ path }) => path))].map((path) => ({
      path,
      pattern: new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]*\}/g, '[^/]+')}$`),
      parameters: path.split('{').length - 1,
    })).sort((one, other) => one.parameters - other.parameters)
  }

  of(path) {
    return this.all.find((it) => it.pattern.test(path))?.path
  }
}

/** What a page is found by: links, and where forms and buttons lead. GETs change nothing, so all may be opened. */
const leads = () => [...document.querySelectorAll('a[href], form')]
  .map((it) => (it.tagName === 'FORM' ? it.action : it.href))
  .filter((address) => address.startsWith(location.origin))
  .map((address) => address.slice(location.origin.length).replace(/#.*/, ''))

class Walk {
  constructor(program, browser, world) {
    Object.assign(this, { program, browser, world, table: new Table(program), faults: new Map(), reached: new Set() })
    this.counts = { asked: 0, pages: 0, axe: 0 }
    /** Route and state of what axe and the Tab key have seen. */
    this.seen = new Set()
  }

  fault(who, path, what) {
    const route = this.table.of(path.split('?')[0]) ?? path
    const fault = `${route}: ${what.replaceAll(this.world.server.base, '')}`
    this.faults.set(fault, [...(this.faults.get(fault) ?? []), `${who} ${path}`])
  }

  /** Follows every link from these, and gives the addresses that were opened. */
  async follow(who, caller, starts) {
    const cookies = caller?.cookies
    const visitor = await Visitor.arrive(this.browser, this.world.server.base, { view: DESKTOP, cookies })
    const waiting = [...starts]
    const wanted = new Set(starts)
    const opened = new Set()
    const turn = { who, visitor, cookie: caller && `sessionid=${cookies.sessionid}`, counts: new Map(), titles: new Map() }
    while (waiting.length > 0) {
      const address = waiting.shift()
      const route = this.table.of(address.split('?')[0])
      if (!route || opened.has(address) || route === '/logout') continue
      opened.add(address)
      waiting.push(...await this.knock(turn, address, route, wanted.has(address)))
    }
    for (const trouble of visitor.troubles) this.fault(who, ...trouble)
    await visitor.leave()
    return opened
  }

  /** Asks without the browser what there is; opens what is a page. */
  async knock(turn, address, route, isWanted) {
    const count = turn.counts.get(route) ?? 0
    if (count >= OF_ONE_ROUTE && !isWanted) return []
    const headers = { accept: 'text/html', ...(turn.cookie && { cookie: turn.cookie }) }
    const reply = await fetch(this.world.server.base + address, { headers, redirect: 'manual' })
    const body = await reply.text()
    turn.counts.set(route, count + 1)
    this.reached.add(route)
    this.counts.asked++
    if ([302, 303].includes(reply.status)) return [reply.headers.get('location')]
    if (![200, 403, 404, 410].includes(reply.status)) this.fault(turn.who, address, `status ${reply.status}: ${body.slice(0, 200)}`)
    if (!/^text\/html/.test(reply.headers.get('content-type') ?? '')) {
      if (!reply.headers.get('content-disposition')) this.fault(turn.who, address, 'neither page nor download')
      return []
    }
    if (Buffer.byteLength(body) > 2 * BYTES_MAX) this.fault(turn.who, address, `${Buffer.byteLength(body)} bytes`)
    // A refusal looks the same wherever it is.
    const refusal = `refused ${reply.status} ${turn.cookie ? 'signed in' : 'anonymous'}`
    if (reply.status !== 200 && reply.status !== 410) {
      if (this.seen.has(refusal)) return []
      this.seen.add(refusal)
    }
    return this.look(turn, address, route, reply.status)
  }

  async look({ who, visitor, titles }, address, route, status) {
    const { page } = visitor
    const reply = await page.goto(this.world.server.base + address)
    this.counts.pages++
    if (reply.status() !== status) this.fault(who, address, `status ${reply.status()}, and before ${status}`)
    const title = await page.title()
    const other = titles.get(title)
    if (status === 200 && other && other !== route) this.fault(who, address, `has the title of ${other}`)
    titles.set(title, route)
    const report = (faults) => faults.forEach((what) => this.fault(who, address, what))
    report(await page.evaluate(ofDocument))
    await this.lie(page, report)
    const state = `${route} ${status} ${/filled/.test(who)}`
    if (!this.seen.has(state)) {
      this.seen.add(state)
      await this.judge(page, report)
      await this.tab(page, report)
    }
    return page.evaluate(leads)
  }

  /** The layout in the smallest window and in a large one, light and dark. */
  async lie(page, report) {
    await page.setViewport(SMALLEST)
    report(await page.evaluate(ofLayout, 44))
    await page.setViewport(DESKTOP)
    report(await page.evaluate(ofLayout, 24))
  }

  /** axe-core's judgement; the colours in both themes. */
  async judge(page, report) {
    // Evaluated as by the developer tools, which no policy of the page forbids.
    await page.evaluate(AXE)
    const run = async (theme, options) => {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      const found = await page.evaluate((options) => axe.run(document, { ...options, resultTypes: ['violations'] })
        .then(({ violations }) => violations.map((it) => `axe ${it.id}: ${it.help}: ${it.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ''}`).join(' | ')}`)), options)
      report(found.map((what) => `${theme}: ${what}`))
    }
    await run('dark', { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } })
    await run('light', { runOnly: { type: 'tag', values: AXE_TAGS } })
    this.counts.axe++
  }

  /** Tab reaches every control once. */
  async tab(page, report) {
    const number = await page.evaluate(markControls)
    const visits = []
    for (let presses = 0; presses < number * 2 + 20; presses++) {
      await page.keyboard.press('Tab')
      const at = await page.evaluate(focused)
      if (at === 'body' || (visits.length > 1 && at === visits[0])) break
      if (at !== visits.at(-1)) visits.push(at)
    }
    const stops = visits.filter((it) => it !== 'other')
    const missed = Array.from({ length: number }, (_, it) => String(it)).filter((it) => !stops.includes(it))
    const name = (it) => page.$eval(`[data-tab-stop="${it}"]`, (it) => it.outerHTML.slice(0, 120))
    for (const it of missed) report([`Tab does not reach ${await name(it)}`])
    for (const it of new Set(stops.filter((it, place) => stops.indexOf(it) !== place))) report([`Tab reaches twice ${await name(it)}`])
  }
}

/** Pages that are served and that nobody came to; each has to stand in `unreached.txt`, with the reason. */
Walk.prototype.unreached = function () {
  const known = readFileSync(new URL('unreached.txt', import.meta.url), 'utf8').split('\n')
    .filter((line) => line && !line.startsWith('#')).map((line) => line.split(/\s/)[0])
  const missed = this.table.all.map(({ path }) => path).filter((path) => !this.reached.has(path))
  for (const path of missed) if (!known.includes(path)) this.fault('nobody', path, 'not reached: give the reason in unreached.txt')
  for (const path of known) if (!missed.includes(path)) this.fault('somebody', path, 'stands in unreached.txt without need')
}

export async function walk(program, browser) {
  const made = await world(program)
  const it = new Walk(program, browser, made)
  try {
    await everybody(it, made)
    it.unreached()
  } finally {
    await made.stop()
  }
  return it
}

/** Addresses that no link leads to: they come in mails, or are PostHog's. */
const LINKLESS = ['/', '/login', '/signup', '/reset', '/setup', '/login/2fa', '/login/again', '/nothing-here']

async function everybody(it, { owner, admin, member, operator, filled, empty, invite, batchExport, gone, careful }) {
  const moved = it.table.all.map(({ path }) => path).filter((path) => !path.includes('{'))
  const links = [invite, '/signup/nothing', `/reset/${owner.user.uuid}/nothing`, `/verify_email/${owner.user.uuid}`,
    `/verify_email/${owner.user.uuid}/nothing`, '/login/link/nothing',
    `/batch_exports/${batchExport.id}`]
  await it.follow('anonymous', undefined, [...LINKLESS, ...links, ...moved])
  const found = new Set()
  for (const [name, id] of [['filled', filled], ['empty', empty]]) {
    const start = [`/organization/${id}`, `/organization/${id}/members`, '/settings/profile']
    const opened = await it.follow(`owner, ${name}`, owner, name === 'filled' ? [...start, ...moved, ...LINKLESS, ...links] : start)
    if (name === 'filled') opened.forEach((path) => found.add(path))
    for (const [who, caller] of [['admin', admin], ['member', member]]) {
      await it.follow(`${who}, ${name}`, caller, [...start, ...opened])
    }
  }
  await it.follow('operator', operator, ['/', `/instance/users/${gone.user.uuid}`, `/instance/users/${careful.user.uuid}`,
    `/instance/users/${operator.user.uuid}`, ...moved, ...found])
}
