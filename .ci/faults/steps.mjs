// What steps.py does, for clients in JavaScript.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const { Server } = await import(process.env.ORGD_NODE)

const FAULTS = {
  429: { status: 429, retryAfter: 1 },
  503: { status: 503 },
  reset: { reset: true },
  'lost answer': { afterCommit: true, reset: true },
  cut: { cutAfterBytes: 1 },
}
const base = await Server.at(process.env.ORGD_URL)

/** The line of a server that is spoilt. */
async function judged(client, run, kind) {
  const server = await base.fork('start')
  const between = spawn('python3', [process.env.ORGD_SPOIL, kind, server.url], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [own, [address]] = [server.url, await once(between.stdout, 'data')]
  server.url = String(address).trim()
  const outcome = await run(server)
  server.url = own
  between.stdin.end()
  await server.stop()
  return `${client} | a server that ${kind === 'twice' ? 'stores twice' : 'loses some'} | - | ${outcome}`
}

/** Runs `run` without a fault to learn its requests, then with each fault at each of them; prints what became of it. */
export async function tryAll(client, run, { workers = 8, only = () => true, spoilt = ['twice', 'lost'] } = {}) {
  const first = await base.fork('start')
  console.log(`${client} | no fault | - | ${await run(first)}`)
  const seen = {}
  const steps = []
  for (const request of await first.requests()) {
    if (request.row === null) throw new Error(`the client asks what orgd does not have: ${request.method} ${request.path}`)
    const route = `${request.method} ${request.row}`
    seen[route] ??= 0
    if (only(request)) steps.push([route, seen[route]])
    seen[route] += 1
  }
  await first.stop()
  const todo = steps.flatMap((step) => Object.keys(FAULTS).map((name) => [...step, name]))
  const lines = []
  const work = async () => {
    for (let at = lines.length; at < todo.length; at = lines.length) {
      lines.push(undefined)
      const [route, before, name] = todo[at]
      const server = await base.fork('start')
      const fault = await server.fail(route, { ...FAULTS[name], skip: before, times: 1 })
      let outcome = await run(server)
      if ((await fault.fired()) !== 1) outcome = `THE FAULT DID NOT COME: ${outcome}`
      await server.stop()
      lines[at] = `${client} | ${route}${steps.some(([one, number]) => one === route && number > 0) ? ` #${before + 1}` : ''} | ${name} | ${outcome}`
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  lines.push(...(await Promise.all(spoilt.map((kind) => judged(client, run, kind)))))
  for (const line of lines) console.log(line)
}

/** Whether every event that a client was given is there, once. */
export async function eventsOutcome(server, wanted, troubles) {
  const found = {}
  for (const event of await server.events(undefined, { limit: 1000 })) {
    const { marker } = event.properties
    if (marker !== undefined) found[marker] = (found[marker] ?? 0) + 1
  }
  const twice = Object.keys(found).filter((marker) => found[marker] > 1)
  const lost = wanted.filter((marker) => !found[marker])
  if (twice.length > 0) return `TWICE: ${twice}`
  if (lost.length === 0) return 'every event once'
  return `${lost.length} of ${wanted.length} events lost, and ${troubles.length > 0 ? 'said so' : 'NOTHING SAID'}`
}
