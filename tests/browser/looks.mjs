// Screenshots for people: ten pages in four shapes; into a folder named "images", the three of the README.
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DESKTOP, PHONE, Visitor } from './browser.mjs'
import { joinAs, serve, signUp, until } from './server.mjs'
import { eventReceiver } from './receivers.mjs'

const PASSWORD = 'three-Unrelated-words-42'
const PEOPLE = [
  ['Grace', 'Moreno', 8], ['Tomás', 'Vidal', 8], ['Amara', 'Okafor', 1], ['Yuki', 'Tanaka', 1], ['Lena', 'Fischer', 1],
  ['Samir', 'Haddad', 1], ['Noa', 'Peretz', 1],
]
const EVENTS = ['order placed', 'order shipped', 'sign-up finished', 'basket viewed', 'search used']

/** An organization as it could be, with invented names. */
async function seed(program) {
  const receiver = await eventReceiver()
  const server = await serve(program, { options: ['--outbound-allow', '127.0.0.0/8'] })
  const owner = await signUp(server, {
    email: 'ines@lantern.example', first_name: 'Ines', last_name: 'Castellan', password: PASSWORD, organization_name: 'Lantern Books',
  })
  const at = `/api/organizations/${owner.user.organization.id}`
  const people = []
  for (const [first, last, level] of PEOPLE) {
    const email = `${first.normalize('NFD').replace(/\W/g, '').toLowerCase()}@lantern.example`
    const person = await joinAs(server, owner, '@current', level, { email, first_name: first, password: PASSWORD })
    await person.patch('/api/users/@me/', { last_name: last })
    people.push(person)
  }
  const role = await owner.post(`${at}/roles/`, { name: 'Warehouse' })
  for (const person of people.slice(3)) await owner.post(`${at}/roles/${role.id}/role_memberships/`, { user_uuid: person.user.uuid })
  const secret = await owner.post(`${at}/projects/`, { name: 'Wholesale' })
  await owner.patch(`${at}/projects/${secret.id}/`, { access_control: true })
  await owner.send('PUT', `/api/projects/${secret.id}/access_controls/`, { role: role.id, access_level: 'member' })
  await owner.post(`${at}/invites/`, { target_email: 'mara@lantern.example', level: 1 })
  await owner.post(`${at}/domains/`, { domain: 'lantern.example' })
  await owner.post('/api/personal_api_keys/', { label: 'Nightly report', scopes: ['organization:read', 'project:read'] })
  const project = owner.user.team
  await owner.patch(`/api/projects/${project.id}/`, { name: 'Web shop' })
  const exported = await fill(owner, project, receiver)
  const stop = async () => { await server.stop(); receiver.stop() }
  return { server, owner, home: `/organization/${owner.user.organization.slug}`, project, secret, exported, person: people[3].user.uuid, stop }
}

/** Events of four weeks, more on some days than on others, and an export that has run. */
async function fill(owner, project, receiver) {
  const batch = []
  for (let day = 0; day < 28; day++) {
    for (let number = 0; number < 20 + ((day * 37) % 23) + (day % 7 < 2 ? 0 : 18); number++) {
      const timestamp = new Date(Date.now() - day * 8.64e7 - number * 1.3e6 - 3.7e6).toISOString()
      batch.push({ event: EVENTS[(day + number * 3) % EVENTS.length], distinct_id: `reader-${(number * 7 + day) % 40}`, timestamp })
    }
  }
  await owner.post('/batch/', { api_key: project.api_token, historical_migration: true, batch })
  const at = `/api/projects/${project.id}/batch_exports/`
  const config = { url: receiver.url, token: 'phc_there' }
  const made = await owner.post(at, { name: 'Warehouse copy', model: 'events', interval: 'hour', destination: { type: 'HTTP', config } })
  const hour = (ago) => new Date(Math.floor(Date.now() / 3.6e6 - ago) * 3.6e6).toISOString()
  await owner.post(`${at}${made.id}/backfills/`, { start_at: hour(24), end_at: hour(0) })
  await until('the backfill ends', async () => {
    const { results } = await owner.get(`${at}${made.id}/runs/`)
    return results.length >= 24 && results.every((run) => run.status === 'Completed')
  }, 60)
  return made
}

export async function looks(program, browser, folder) {
  mkdirSync(folder, { recursive: true })
  const it = await seed(program)
  const { home } = it
  const pages = {
    overview: home, members: `${home}/members`, project: `/project/${it.project.id}`, access: `/project/${it.secret.id}/access`,
    why: `/project/${it.secret.id}/access/people/${it.person}`, export: `${home}/exports/${it.exported.id}`,
    'new-export': `${home}/exports/new/s3`, audit: `${home}/audit`, 'new-key': '/settings/api-keys/new', status: '/instance/status',
  }
  const ofReadme = basename(folder) === 'images'
  const shapes = ofReadme
    ? [['members', DESKTOP, 'light'], ['export', DESKTOP, 'light'], ['access', PHONE, 'dark']]
    : Object.keys(pages).flatMap((page) => [DESKTOP, PHONE].flatMap((view) => ['light', 'dark'].map((theme) => [page, view, theme])))
  try {
    for (const [page, view, theme] of shapes) {
      const visitor = await Visitor.arrive(browser, it.server.base, { view, cookies: it.owner.cookies })
      await visitor.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      await visitor.go(pages[page])
      const name = ofReadme ? page : `${page}-${view.isMobile ? 'phone' : 'desktop'}-${theme}`
      await visitor.page.screenshot({ path: join(folder, `${name}.png`), fullPage: !ofReadme })
      await visitor.leave()
    }
  } finally {
    await it.stop()
  }
  return shapes.length
}
