/** The program that ORGD_BIN names, that of the package for this machine, or the first on the path. */
export function findBinary(): string

/** The server could not be started or reached, or lacks what was wanted of it. */
export class OrgdError extends Error {}

/** The server has refused a call that controls it. */
export class Refused extends OrgdError {
  readonly status: number
  readonly body: string
}

/** What a client did is not what was asserted. */
export class RequestAssertionError extends Error {}

export interface Mail {
  n: number
  at: string
  to: string
  subject: string
  text: string
  html: string | null
  links: string[]
  invite_id: string | null
}

export interface StoredEvent {
  uuid: string
  event: string
  distinct_id: string
  timestamp: string
  project_id: number
  properties: Record<string, unknown>
}

/** What a client has sent, and was answered: `status` is null until then. */
export interface JournalEntry {
  n: number
  at: string
  method: string
  path: string
  row: string | null
  query: string
  status: number | null
  ms: number | null
  key: string | null
  agent: string | null
  headers: Record<string, string>
  json?: unknown
  body?: { bytes: number; sha256: string }
  fault: string | null
  repeats: number | null
  carried_out?: number
}

export interface ShownFault {
  id: string
  seen: number
  fired: number
  left: number | null
  rule: unknown
}

export interface Advance {
  now: Date
  frozen: boolean
  settled: boolean
  fired: { what: string; at: string; count: number }[]
  open: string[]
}

export interface Clock {
  now(): Promise<Date>
  isFrozen(): Promise<boolean>
  /** Jumps to a time. Back only as long as nothing was written. */
  set(time: Date | string, options?: { frozen?: boolean }): Promise<Date>
  /** Stops the clock where it is. */
  freeze(): Promise<Date>
  /** Lets the clock run on from where it is. */
  run(): Promise<Date>
  /** Moves time on, with all that is due on the way: `advance('72h')`. */
  advance(by: string, options?: { waitS?: number }): Promise<Advance>
}

export interface Fault {
  readonly id: string
  /** How often it has fired. */
  fired(): Promise<number>
  remove(): Promise<void>
}

export interface Wait {
  waitCount?: number
  waitMs?: number
}

export interface FaultOptions {
  status?: number
  headers?: Record<string, string>
  retryAfter?: number | string
  json?: unknown
  text?: string
  times?: number
  skip?: number
  cutAfterBytes?: number
  reset?: boolean
  silenceS?: number
  delayMs?: number
  /** The request is carried out, and then its answer is spoilt. */
  afterCommit?: boolean
  /** The label of a key. */
  key?: string
  /** The path is meant, though no route has it. */
  anyPath?: boolean
  /** A pattern of addresses of mails that fail, in place of a route. */
  mail?: string
  /** A pattern of names whose DNS fails, in place of a route. */
  dns?: string
}

export interface AssertOptions {
  count?: number
  atLeast?: number
  never?: boolean
  inOrder?: (string | { method?: string; path?: string; json?: unknown; status?: number; key?: string })[]
  /** What the body has at the least. */
  json?: unknown
  status?: number
  key?: string
  after?: number
  anyPath?: boolean
  waitMs?: number
}

/** A server for tests, or a fork of one. */
export class Server {
  private constructor()
  readonly url: string
  readonly key: string
  readonly projectId: number
  readonly projectToken: string
  readonly organizationId: string
  readonly owner?: { email: string; id: string; password?: string }
  readonly forkId?: string
  readonly clock: Clock
  /** A server that runs already, such as that of `orgd exec` or of a container. It is not ended by `stop`. */
  static at(url: string, key?: string): Promise<Server>
  /** Ends a server that was started here, and removes a fork, whose data is checked. */
  stop(): Promise<void>
  /** A server of its own that begins with what this one holds now, or with a snapshot. The snapshot `start` is what a
   * server began with. */
  fork(of?: string, options?: { ttlS?: number }): Promise<Server>
  /** Keeps what there is now under a name, for `fork` and `reset`. */
  snapshot(name: string): Promise<void>
  /** Makes everything as it was at the start, or as a snapshot says: data, clock, faults, journal, mails. */
  reset(to?: string): Promise<void>
  /** Makes requests of a route fail: `fail('POST /api/organizations/{id}/invites/', { status: 503, times: 2 })`. */
  fail(route: string | undefined, options?: FaultOptions): Promise<Fault>
  /** The rules, with how often each has fired. */
  faults(): Promise<ShownFault[]>
  /** Every rule has fired. */
  assertFaultsFired(): Promise<void>
  /** Says what the DNS answers: `{'_posthog-challenge.example.com': {TXT: ['…']}}`. */
  dns(table: Record<string, Record<string, string[]>>): Promise<void>
  /** The mails that would have gone out, the newest last. */
  mails(options?: { to?: string } & Wait): Promise<Mail[]>
  /** The events that were stored, the newest last. */
  events(event?: string, options?: { distinctId?: string; token?: string; limit?: number } & Wait): Promise<StoredEvent[]>
  /** What clients have sent, the newest last: `requests('POST /api/organizations/{id}/invites/')`. */
  requests(route?: string, options?: { after?: number; anyPath?: boolean } & Wait): Promise<JournalEntry[]>
  /** A route was called so often: `assertRequests('POST /api/organizations/{id}/invites/', { count: 1 })`. */
  assertRequests(route: string | undefined, options?: AssertOptions): Promise<void>
  /** Empties the journal and the mailbox. */
  forget(): Promise<void>
  /** The last requests, and the faults that have not fired: what one wants to know of a test that failed. */
  report(): Promise<string>
  /** Calls a path below `/_orgd/`. */
  control(method: string, what: string, body?: unknown, timeout?: number | null): Promise<any>
}

export interface StartOptions {
  /** A file that the server begins with. */
  seed?: string | URL
  /** Further flags of `orgd serve`. */
  args?: string[]
  binary?: string
}

/** Starts a server in memory on a free port, which ends with this process at the latest. Where ORGD_URL is set, that
 * server is used. */
export function startOrgd(options?: StartOptions): Promise<Server>
