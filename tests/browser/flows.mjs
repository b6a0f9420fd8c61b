// Runs the flows, one after the other, in each kind of browser.
import * as backups_ from './backups.mjs'
import * as entry from './entry.mjs'
import * as exports_ from './exports.mjs'
import * as invites from './invites.mjs'
import * as keys from './keys.mjs'
import * as places from './places.mjs'
import { KINDS, Stage } from './stage.mjs'

const { first_owner, audit, ...others } = { ...entry, ...keys, ...invites, ...exports_, ...places, ...backups_ }
/** The audit log is read at the end, when there is something in it. */
const IN_ORDER = Object.entries({ first_owner, ...others, audit })

export async function flows(program, browser, wanted) {
  const faults = []
  let count = 0
  const inKind = async (kind) => {
    const stage = await Stage.set(program, browser, kind)
    for (const [name, flow] of IN_ORDER) {
      if (wanted && !['first_owner', ...wanted.split(',')].includes(name)) continue
      const started = Date.now()
      count++
      await flow(stage).catch((error) => faults.push(`${kind.name}, ${name}: ${error.stack}`))
      if (process.env.ORGD_BROWSER_TIMES) console.log(`${kind.name}, ${name}: ${Date.now() - started} ms`)
      faults.push(...(await stage.leave()).map((trouble) => `${kind.name}, ${name}: ${trouble}`))
      if (!stage.owner) break
    }
    // Wrong passwords and codes are noted on purpose.
    const bad = stage.server.log.split('\n').filter((line) => / (WARN|ERROR) |panicked/.test(line) && !/ WARN security: /.test(line))
    faults.push(...bad.map((line) => `${kind.name}, log: ${line}`))
    await stage.clear()
  }
  // Two at once, for two processors.
  const waiting = [...KINDS]
  const inTurn = async () => {
    for (let kind = waiting.shift(); kind; kind = waiting.shift()) await inKind(kind)
  }
  await Promise.all([inTurn(), inTurn()])
  return { faults, count }
}
