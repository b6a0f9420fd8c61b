// What steps.py does, for clients in JavaScript.
const { Server } = await import(process.env.ORGD_NODE)

const FAULTS = {
  429: { status: 429, retryAfter: 1 },
  503: { status: 503 },
  reset: { reset: true },
  'lost answer': { afterCommit: true, reset: true },
  cut: { cutAfterBytes: 1 },
}
const base = await Server.at(process.env.ORGD_URL)

/** Runs `run` without a fault to learn its requests, then with each fault at each of them; prints what became of it. */
export async function tryAll(client, run, { workers = 8, only = () => true } = {}) {
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
      lines[at] = `${client} | ${route}${seen[route] > 1 ? ` #${before + 1}` : ''} | ${name} | ${outcome}`
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
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
