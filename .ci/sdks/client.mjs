// Sends events with posthog-node and evaluates flags. Prints the names of all events that were sent as JSON; fails
// where the library reports an error or writes to the console.
import { PostHog } from 'posthog-node'

const [host, token, key] = process.argv.slice(2)
const troubles = []
const sent = []
for (const level of ['warn', 'error']) {
  console[level] = (...words) => troubles.push(`${level}: ${words.join(' ')}`)
}

const client = new PostHog(token, {
  host,
  personalApiKey: key,
  before_send: (event) => {
    sent.push(event.event)
    return event
  },
})
client.on('error', (error) => troubles.push(`error: ${error}`))
for (let number = 0; number < 100; number++) {
  client.capture({ distinctId: `person ${number % 7}`, event: 'node', properties: { number, cut: '😀'.slice(0, 1) } })
}
client.identify({ distinctId: 'person 1', properties: { name: 'Ada' } })
client.alias({ distinctId: 'person 1', alias: 'alias node' })
client.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { size: 3 } })
await client.reloadFeatureFlags()
if (Object.keys(await client.getAllFlags('person 1')).length > 0) troubles.push('there are flags')
if ((await client.evaluateFlags('person 1')).isEnabled('none')) troubles.push('there is a flag')
await client.shutdown()

process.stdout.write(JSON.stringify(sent))
if (troubles.length > 0) {
  process.stderr.write(`posthog-node had trouble:\n${troubles.join('\n')}\n`)
  process.exitCode = 1
}
