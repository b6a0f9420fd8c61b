import type { TestAPI } from 'vitest'
import type { Server, StartOptions } from './index.js'

export interface OrgdFixtures {
  /** A server of its own for each test. A test that fails shows what it was asked. */
  orgd: Server
  /** The server that the tests of a worker share; what a test wants is a fork of it. */
  orgdServer: Server
  /** How it is started. */
  orgdOptions: StartOptions
}

/** The fixtures alone, for a `test.extend` of one's own. */
export const orgdFixtures: any
/** The test of vitest with `orgd`. */
export const test: TestAPI<OrgdFixtures>
export const it: typeof test
