import type { TestContext } from 'node:test'
import type { Server, StartOptions } from './index.js'

/** A server of its own for a test of node:test. One process has one server, which begins as the first call says. A test
 * that fails shows what its server was asked. */
export function forkFor(t: TestContext, options?: StartOptions): Promise<Server>
