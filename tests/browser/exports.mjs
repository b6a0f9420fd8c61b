// Flows: exports, as long as they live.
import { until } from './server.mjs'

const hour = (ago) => new Date(Math.floor(Date.now() / 3.6e6 - ago) * 3.6e6)

export async function an_export(stage) {
  const it = await stage.arrive(stage.owner)
  const project = stage.owner.user.team
  const batch = [2, 3, 4].map((ago) => ({ event: 'bought', distinct_id: 'ada', timestamp: hour(ago).toISOString() }))
  await stage.owner.post('/batch/', { api_key: project.api_token, historical_migration: true, batch })
  await it.go(`${stage.home}/exports`)
  await it.press('New export')
  await it.open('Choose Web address (HTTP)')
  await it.fill({ Name: 'Copies', Address: 'http://127.0.0.1:9/batch/', Token: 'phc_there' })
  await choose(it, 'Secret')
  await it.press('Test')
  await it.sees('127.0.0.1')
  await it.fill({ Address: stage.receiver.url })
  await it.press('Test')
  await it.press('Create and run')
  await it.sees('The export was made.', 'No runs yet')
  const page = it.path
  await watched(stage, it, page, project)
  await it.go(page)
  await it.press('Pause')
  await it.sees('The export is paused.')
}

/** Where there are several projects, the form asks for one. */
async function choose(it) {
  if (await it.has('[name=project]')) await it.page.select('[name=project]', await it.page.$eval('[name=project] option:last-child', (option) => option.value))
}

/** A backfill is started on its page and seen through to its end. */
async function watched(stage, it, page) {
  await it.go(`${page}/backfill`)
  const typed = (ago) => hour(ago).toISOString().slice(0, 16)
  const export_ = it.in(await it.tab())
  await export_.go(page)
  await it.fill({ From: typed(5), To: typed(1) })
  await it.press('Start backfill')
  await it.sees('The backfill has started.')
  const completed = (seen) => async () => {
    if (!stage.kind.scripts) await seen.page.reload()
    return (await seen.main()).includes('Completed')
  }
  await until('the backfill ends', completed(it))
  await export_.page.bringToFront()
  await until('the runs are seen', completed(export_))
  if (stage.kind.scripts) await pauses(export_)
  const names = stage.receiver.events.map(({ event }) => event)
  if (names.filter((name) => name === 'bought').length !== 3) throw new Error(`these events arrived: ${names}`)
}

/** Whoever pauses a live list is left alone by it: in the time of two turns nothing is asked for. */
async function pauses(it) {
  await it.page.waitForRequest((request) => request.resourceType() === 'fetch')
  await it.push('Pause updates')
  let asked = 0
  it.page.on('request', () => { asked++ })
  await new Promise((resolve) => setTimeout(resolve, 4500))
  if (asked > 0) throw new Error('a list that is paused is asked for again')
  await it.push('Go on')
  await until('the list goes on', () => asked > 0)
}
