import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { findBinary } from './binary.js'

export { findBinary }

// Nothing of it may hang for ever; the server itself waits for a minute at the most.
const TIMEOUT_MS = 90_000
const STOP_MS = 30_000
const REPORTED_REQUESTS = 20
const FORK_TTL_S = 3600

/** The server could not be started or reached, or lacks what was wanted of it. */
export class OrgdError extends Error {
  name = 'OrgdError'
}

/** The server has refused a call that controls it. */
export class Refused extends OrgdError {
  name = 'Refused'
  constructor(call, status, body) {
    super(`${call}: ${status}: ${detailOf(body)}`)
    this.status = status
    this.body = body
  }
}

/** What a client did is not what was asserted. */
export class RequestAssertionError extends Error {
  name = 'RequestAssertionError'
}

/** The clock of one server. */
class Clock {
  #server
  constructor(server) {
    this.#server = server
  }
  async now() {
    return new Date((await this.#server.control('GET', 'clock')).now)
  }
  async isFrozen() {
    return (await this.#server.control('GET', 'clock')).frozen
  }
  /** Jumps to a time. Back only as long as nothing was written. */
  async set(time, { frozen } = {}) {
    const set = time instanceof Date ? time.toISOString() : time
    return new Date((await this.#server.control('POST', 'clock', { set, frozen })).now)
  }
  /** Stops the clock where it is. */
  async freeze() {
    return new Date((await this.#server.control('POST', 'clock', { frozen: true })).now)
  }
  /** Lets the clock run on from where it is. */
  async run() {
    return new Date((await this.#server.control('POST', 'clock', { frozen: false })).now)
  }
  /** Moves time on, with all that is due on the way: `advance('72h')`. */
  async advance(by, { waitS } = {}) {
    const done = await this.#server.control('POST', 'clock', { advance: by, wait_s: waitS }, null)
    return { open: [], ...done, now: new Date(done.now) }
  }
}

/** A rule that was given to `fail`. */
class Fault {
  #server
  constructor(server, id) {
    this.#server = server
    this.id = id
  }
  /** How often it has fired. */
  async fired() {
    return (await this.#server.control('GET', `faults/${this.id}`)).fired
  }
  async remove() {
    await this.#server.control('DELETE', `faults/${this.id}`)
  }
}

/** A server for tests, or a fork of one. */
export class Server {
  #ready
  #child
  #forkedFrom
  constructor(url, ready, { child, forkedFrom, forkId } = {}) {
    this.url = url.replace(/\/$/, '')
    this.#ready = ready
    this.#child = child
    this.#forkedFrom = forkedFrom
    this.forkId = forkId
    this.key = ready.api_key
    this.projectId = Number(ready.project.id)
    this.projectToken = ready.project.api_token
    this.organizationId = ready.organization_id
    this.owner = ready.owner
    this.clock = new Clock(this)
  }

  /** A server that runs already, such as that of `orgd exec` or of a container. It is not ended by `stop`. */
  static async at(url, key = process.env.ORGD_KEY) {
    if (!key) throw new OrgdError(`the server at ${url} is known by ORGD_URL, but its key is not: set ORGD_KEY`)
    const ask = (path) => call(url, 'GET', path, { key })
    const organization = await ask('/api/organizations/@current/')
    const first = async () => (await ask(`/api/organizations/${organization.id}/projects/`)).results[0]?.id
    const wanted = process.env.ORGD_PROJECT_ID || (await first())
    if (wanted === undefined) throw new OrgdError(`the organization at ${url} has no project`)
    const project = await ask(`/api/projects/${wanted}/`)
    return new Server(url, { api_key: key, organization_id: organization.id, project })
  }

  /** Ends a server that was started here, and removes a fork, whose data is checked. */
  async stop() {
    const [base, child] = [this.#forkedFrom, this.#child]
    this.#forkedFrom = this.#child = undefined
    if (base) await base.control('DELETE', `forks/${this.forkId}?check=true`)
    if (child && child.exitCode === null) {
      const ended = once(child, 'exit')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      child.ref()
      child.stdin.end()
      await ended
      clearTimeout(late)
    }
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.stop()
  }

  /** A server of its own that begins with what this one holds now, or with a snapshot. The snapshot `start` is what a
   * server began with. */
  async fork(of, { ttlS = FORK_TTL_S } = {}) {
    let made
    try {
      made = await this.control('POST', 'forks', { of, ttl_s: ttlS })
    } catch (refusal) {
      if (refusal.status !== 404 || (of !== undefined && of !== 'start')) throw refusal
      throw new OrgdError(`${this.url} has no forks: a server with --test is wanted, of this version`)
    }
    // A container is known by another name here than the one it has for itself.
    const url = new URL(this.url)
    url.port = new URL(made.url).port
    return new Server(url.href, this.#ready, { forkedFrom: this, forkId: made.id })
  }

  /** Keeps what there is now under a name, for `fork` and `reset`. */
  async snapshot(name) {
    await this.control('POST', 'snapshots', { name })
  }

  /** Makes everything as it was at the start, or as a snapshot says: data, clock, faults, journal, mails. */
  async reset(to) {
    await this.control('POST', 'reset', { to })
  }

  /** Makes requests of a route fail: `fail('POST /api/organizations/{id}/invites/', { status: 503, times: 2 })`. */
  async fail(route, options = {}) {
    const { status, headers, retryAfter, json, text, key, mail, dns, ...rest } = options
    const retry = retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }
    const rule = {
      match: { ...routeOf(route), key, mail, dns },
      times: rest.times,
      skip: rest.skip,
      answer: status === undefined ? undefined : { status, headers: { ...headers, ...retry }, json, text },
      cut_after_bytes: rest.cutAfterBytes,
      reset: rest.reset || undefined,
      silence_s: rest.silenceS,
      delay_ms: rest.delayMs,
      after_commit: rest.afterCommit || undefined,
      any_path: rest.anyPath || undefined,
    }
    return new Fault(this, (await this.control('POST', 'faults', rule)).id)
  }

  /** The rules, with how often each has fired. */
  async faults() {
    return (await this.control('GET', 'faults')).faults
  }

  /** Every rule has fired. */
  async assertFaultsFired() {
    const verdict = await this.control('POST', 'faults/assert', { all_fired: true })
    if (!verdict.ok) throw new RequestAssertionError(verdict.why ?? JSON.stringify(verdict))
  }

  /** Says what the DNS answers: `{'_posthog-challenge.example.com': {TXT: ['…']}}`. */
  async dns(table) {
    await this.control('PUT', 'dns', table)
  }

  /** The mails that would have gone out, the newest last. */
  async mails({ to, waitCount, waitMs } = {}) {
    return this.#look('mails', { to, wait_count: waitCount, wait_ms: waitMs })
  }

  /** The events that were stored, the newest last. */
  async events(event, { distinctId, token, limit, waitCount, waitMs } = {}) {
    const query = { event, distinct_id: distinctId, token, limit, wait_count: waitCount, wait_ms: waitMs }
    return (await this.#look('events', query)).events
  }

  /** What clients have sent, the newest last: `requests('POST /api/organizations/{id}/invites/')`. */
  async requests(route, { after, anyPath, waitCount, waitMs } = {}) {
    const query = { ...routeOf(route), after, any_path: anyPath, wait_count: waitCount, wait_ms: waitMs }
    return (await this.#look('requests', query)).requests
  }

  /** A route was called so often: `assertRequests('POST /api/organizations/{id}/invites/', { count: 1 })`. */
  async assertRequests(route, options = {}) {
    const { atLeast, inOrder, anyPath, waitMs, ...same } = options
    const claim = {
      ...routeOf(route),
      ...same,
      at_least: atLeast,
      in_order: inOrder?.map((step) => (typeof step === 'string' ? routeOf(step) : step)),
      any_path: anyPath,
      wait_ms: waitMs,
    }
    const verdict = await this.control('POST', 'requests/assert', claim)
    if (verdict.ok) return
    const near = (await this.requests()).filter((request) => verdict.nearest?.includes(request.n))
    const message = [`${verdict.why} (${JSON.stringify(claim)})`, ...near.map(lineOf)].join('\n')
    throw new RequestAssertionError(message)
  }

  /** Empties the journal and the mailbox. */
  async forget() {
    await this.control('DELETE', 'requests')
    await this.control('DELETE', 'mails')
  }

  /** The last requests, and the faults that have not fired: what one wants to know of a test that failed. */
  async report() {
    const requests = await this.requests()
    const shown = requests.slice(-REPORTED_REQUESTS)
    const silent = (await this.faults()).filter((fault) => fault.fired === 0)
    return [
      `orgd at ${this.url}, requests (the last ${shown.length} of ${requests.length}):`,
      ...shown.map(lineOf),
      ...silent.map((fault) => `fault ${fault.id} has not fired: ${shortened(JSON.stringify(fault.rule))}`),
    ].join('\n')
  }

  async #look(what, query) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    return this.control('GET', `${what}?${new URLSearchParams(given)}`)
  }

  /** Calls a path below `/_orgd/`. */
  async control(method, what, body, timeout = TIMEOUT_MS) {
    return call(this.url, method, `/_orgd/${what}`, { body, timeout })
  }
}

/** Starts a server in memory on a free port, which ends with this process at the latest. `seed` is a file that it begins
 * with, `args` are further flags of `orgd serve`. Where ORGD_URL is set, that server is used. */
export async function startOrgd({ seed, args = [], binary } = {}) {
  if (process.env.ORGD_URL) {
    if (seed || args.length > 0) {
      throw new OrgdError('seed and args are for a server that is started here, and ORGD_URL names another')
    }
    return Server.at(process.env.ORGD_URL)
  }
  const words = ['serve', '--test', '--exit-with-stdin', ...(seed ? ['--seed', String(seed)] : []), ...args]
  const program = binary ?? findBinary()
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'] })
  let [line, said] = ['', '']
  child.stderr.on('data', (data) => (said = (said + data).slice(-10_000)))
  child.stdin.on('error', () => {})
  await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => reject(new OrgdError(`${program} ${words.join(' ')} has ended (${code}): ${said.trim()}`)))
    child.stdout.on('data', (data) => {
      line += data
      if (line.includes('\n')) resolve()
    })
  })
  // Nothing of it keeps this process alive; when it ends, the server's input closes.
  for (const part of [child, child.stdin, child.stdout, child.stderr]) part.unref()
  const ready = JSON.parse(line)
  return new Server(ready.url, ready, { child })
}

async function call(url, method, path, { body, key, timeout = TIMEOUT_MS } = {}) {
  const headers = { 'user-agent': 'orgd-node' }
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (key) headers.authorization = `Bearer ${key}`
  const signal = timeout === null ? undefined : AbortSignal.timeout(timeout)
  let answer, text
  try {
    answer = await fetch(url.replace(/\/$/, '') + path, { method, headers, body: JSON.stringify(body), signal })
    text = await answer.text()
  } catch (cause) {
    throw new OrgdError(`${method} ${url}${path}: no answer: ${cause.cause?.message ?? cause.message}`, { cause })
  }
  if (!answer.ok) throw new Refused(`${method} ${path}`, answer.status, text)
  return text === '' ? undefined : JSON.parse(text)
}

/** `'POST /path/'` and `'/path/'` as the server wants them. */
function routeOf(route) {
  if (!route) return {}
  const space = route.indexOf(' ')
  return space < 0 ? { path: route } : { method: route.slice(0, space), path: route.slice(space + 1).trim() }
}

function lineOf(request) {
  const target = request.path + (request.query ? `?${request.query}` : '')
  const parts = [`${String(request.n).padStart(4)}  ${request.method} ${target} -> ${request.status ?? 'no answer'}`]
  if (request.fault) parts.push(`fault ${request.fault}`)
  if (request.carried_out) parts.push(`(carried out: ${request.carried_out})`)
  if (request.repeats) parts.push(`repeats ${request.repeats}`)
  if (request.json !== undefined) parts.push(shortened(JSON.stringify(request.json)))
  return parts.join('  ')
}

function detailOf(body) {
  try {
    return JSON.parse(body).detail ?? shortened(body)
  } catch {
    return shortened(body)
  }
}

function shortened(text, most = 300) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}
