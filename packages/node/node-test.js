import { startOrgd } from './index.js'

let server

/** A server of its own for a test of node:test. One process has one server, which begins as the first call says. A test that
 * fails shows what its server was asked. */
export async function forkFor(t, options) {
  server ??= startOrgd(options)
  const fork = await (await server).fork('start')
  t.after(async () => {
    if (t.passed === false) t.diagnostic(await fork.report())
    await fork.stop()
  })
  return fork
}
