// posthog-node.
import { PostHog } from 'posthog-node'
import { eventsOutcome, tryAll } from './steps.mjs'

console.error = console.warn = () => {}

async function run(server) {
  const troubles = []
  const client = new PostHog(server.projectToken, {
    host: server.url,
    personalApiKey: server.key,
    flushAt: 3,
    flushInterval: 100,
  })
  client.on('error', (error) => troubles.push(error))
  const attempt = (promise) => promise.catch((error) => troubles.push(error))
  await attempt(client.reloadFeatureFlags())
  await attempt(client.getAllFlags('ada'))
  const markers = [0, 1, 2, 3, 4, 5]
  for (const marker of markers.slice(0, 3)) client.capture({ distinctId: 'ada', event: 'seen', properties: { marker } })
  await attempt(client.flush())
  for (const marker of markers.slice(3)) client.capture({ distinctId: 'ada', event: 'seen', properties: { marker } })
  await attempt(client.flush())
  await attempt(client.shutdown())
  return eventsOutcome(server, markers, troubles)
}

await tryAll('posthog-node', run, { workers: 20 })
