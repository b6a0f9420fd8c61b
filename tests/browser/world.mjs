// Organizations for the walk: one with something of everything, whose names are as unkind as fields allow, and one
// with nothing but its people.
import { Caller, joinAs, serve, signUp } from './server.mjs'
import { totp } from './totp.mjs'
import { eventReceiver, mailServer, nameServer } from './receivers.mjs'

const PASSWORD = 'three-Unrelated-words-42'

/** Markup, right-to-left letters, and letters without a space up to the longest that the field takes. */
export const unkind = (chars, mark = '') => `${mark}<script>alert(1)</script>‏שלום عالم ${'Ẃ'.repeat(300)}`.slice(0, chars)

export async function world(program) {
  const mail = await mailServer()
  const names = await nameServer()
  const receiver = await eventReceiver()
  const server = await serve(program, {
    backups: true,
    options: ['--dev', '--open-signup', 'true', '--smtp-url', mail.url, '--dns-server', names.address,
      '--outbound-allow', '127.0.0.0/8', '--plugin-repository-url', 'none'],
  })
  const people = await settle(server)
  const made = await fill(people, receiver)
  const watched = await lookedAfter(people, server)
  const stop = async () => {
    await server.stop()
    for (const it of [mail, names, receiver]) it.stop()
  }
  return { server, ...people, ...made, ...watched, stop }
}

/** The owner of two organizations, their admin and member, and the operator, who belongs to neither. */
async function settle(server) {
  const person = (name, chars) => ({ email: `${name}@example.com`, first_name: unkind(chars, name), password: PASSWORD })
  const owner = await signUp(server, { ...person('owner', 128), organization_name: unkind(64, 'Full ') })
  const filled = owner.user.organization.id
  const admin = await joinAs(server, owner, filled, 8, person('admin', 128))
  const member = await joinAs(server, owner, filled, 1, person('member', 128))
  const empty = (await owner.post('/api/organizations/', { name: unkind(64, 'Bare ') })).id
  for (const [caller, level] of [[admin, 8], [member, 1]]) {
    const at = `/api/organizations/${empty}/invites/`
    const invite = await owner.post(at, { target_email: caller.user.email, level, send_email: false })
    const { link } = await owner.get(`${at}${invite.id}/link/`)
    await caller.post(`/api/signup/${new URL(link).pathname.split('/').filter(Boolean).pop()}/`)
  }
  const password = /with password (\S+),/.exec(server.log)[1]
  const operator = new Caller(server)
  // Two sessions, so that one can be ended.
  await new Caller(server).post('/api/login/', { email: 'demo@example.com', password })
  await operator.post('/api/login/', { email: 'demo@example.com', password })
  operator.user = await operator.get('/api/users/@me/')
  return { owner, admin, member, operator, filled, empty }
}

/** What the operator has to look after: a mail that waits, an account that is not active, one with a second factor. */
async function lookedAfter({ owner, operator, filled }, server) {
  const at = `/api/organizations/${filled}/invites/`
  await owner.post(at, { target_email: 'later@example.com', level: 1, send_email: true })
  const person = (name) => joinAs(server, owner, filled, 1, { email: `${name}@example.com`, first_name: unkind(128, name), password: PASSWORD })
  const [gone, careful] = [await person('gone'), await person('careful')]
  await operator.form(`/instance/users/${gone.user.uuid}/deactivate`)
  const page = await careful.get('/settings/two-factor')
  await careful.form('/settings/two-factor', { token: totp(/id="secret"[^>]* value="([^"]*)"/.exec(page)[1]) })
  return { gone, careful }
}

/** Something of everything in the filled organization. */
async function fill({ owner, admin, member, filled }, receiver) {
  const at = `/api/organizations/${filled}`
  const { link, id: invite } = await owner.post(`${at}/invites/`, {
    target_email: 'a-very-long-address-that-does-not-end-soon-and-has-no-space@example.com', level: 1, send_email: false,
    first_name: unkind(30), message: unkind(300),
  }).then(async (made) => ({ ...made, ...(await owner.get(`${at}/invites/${made.id}/link/`)) }))
  const role = await owner.post(`${at}/roles/`, { name: unkind(200, 'Role ') })
  await owner.post(`${at}/roles/${role.id}/role_memberships/`, { user_uuid: member.user.uuid })
  const project = await owner.post(`${at}/projects/`, { name: unkind(200, 'Secret ') })
  await owner.patch(`${at}/projects/${project.id}/`, { access_control: true })
  await owner.send('PUT', `/api/projects/${project.id}/access_controls/`, { role: role.id, access_level: 'member' })
  await owner.post(`${at}/domains/`, { domain: `${'long-label.'.repeat(8)}example.com` })
  await owner.post(`${at}/proxy_records/`, { domain: `${'long-label.'.repeat(4)}example.com` })
  await owner.post(`${at}/plugins/`, { plugin_type: 'source', name: unkind(200, 'Plugin ') })
  await keys([owner, admin, member])
  const first = (await owner.get(`${at}/projects/`)).results.find((it) => it.id !== project.id)
  const batchExport = await events(owner, first, receiver)
  return { invite: new URL(link).pathname, project, role, batchExport }
}

async function keys(callers) {
  for (const caller of callers) {
    await caller.post('/api/personal_api_keys/', { label: unkind(40), scopes: ['organization:read'] })
  }
}

/** Events, an export of them that has run, and one that fails. */
async function events(owner, project, receiver) {
  const { api_token: token } = await owner.get(`/api/projects/${project.id}/`)
  const hour = (ago) => new Date(Math.floor(Date.now() / 3.6e6 - ago) * 3.6e6).toISOString()
  const batch = [1, 2, 3].map((ago) => ({
    event: unkind(200), distinct_id: unkind(200), timestamp: hour(ago), properties: {},
  }))
  await owner.post('/batch/', { api_key: token, historical_migration: true, batch })
  let made
  for (const [name, url] of [['Works ', receiver.url], ['Fails ', 'http://127.0.0.1:9/batch/']]) {
    made = await owner.post(`/api/projects/${project.id}/batch_exports/`, {
      name: unkind(200, name), model: 'events', interval: 'hour',
      destination: { type: 'HTTP', config: { url, token: 'phc_there' } },
    })
    const range = { start_at: hour(5), end_at: hour(1) }
    await owner.post(`/api/projects/${project.id}/batch_exports/${made.id}/backfills/`, range)
  }
  return made
}
