import { test as base } from 'vitest'
import { startOrgd } from './index.js'

/** The fixtures alone, for a `test.extend` of one's own. */
export const orgdFixtures = {
  /** How the server of a worker is started. */
  orgdOptions: [{}, { scope: 'worker' }],
  orgdServer: [
    async ({ orgdOptions }, use) => {
      const server = await startOrgd(orgdOptions)
      await use(server)
      await server.stop()
    },
    { scope: 'worker' },
  ],
  orgd: async ({ orgdServer, task }, use) => {
    const fork = await orgdServer.fork('start')
    await use(fork)
    if (task.result?.state === 'fail') console.error(await fork.report())
    await fork.stop()
  },
}

/** The test of vitest with `orgd`, a server of its own for each test. */
export const test = base.extend(orgdFixtures)
export const it = test
