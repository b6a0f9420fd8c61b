// What the documentation says of the fixtures, for whichever runner: each case gets a server of its own.
import assert from 'node:assert/strict'
import { OrgdError, Refused, RequestAssertionError, Server, startOrgd } from 'orgd'
import { Client } from './client.js'

const INVITES = 'POST /api/organizations/{id}/invites/'
const ROLES = 'POST /api/organizations/{id}/roles/'

export const cases = {
  async 'an invite is a mail with a link'(orgd) {
    const invite = await new Client(orgd).invite('grace@example.com')
    assert.equal(invite.status, 201)
    const mails = await orgd.mails({ to: 'grace@example.com' })
    assert.equal(mails.length, 1)
    assert.equal(mails[0].invite_id, invite.body.id)
    assert.match(mails[0].links[0], /\/signup\//)
    assert.deepEqual(await orgd.mails({ to: 'ada@example.com' }), [])
    await orgd.assertRequests(INVITES, { count: 1, json: { target_email: 'grace@example.com' } })
  },

  async 'a refused request is repeated'(orgd) {
    const fault = await orgd.fail(INVITES, { status: 429, retryAfter: 0, times: 2 })
    assert.equal((await new Client(orgd).invite('grace@example.com')).status, 201)
    assert.equal(await fault.fired(), 2)
    await orgd.assertRequests(INVITES, { count: 3 })
    await orgd.assertRequests(undefined, { inOrder: [INVITES, INVITES] })
    await orgd.assertFaultsFired()
    assert.deepEqual((await orgd.requests(INVITES)).map(({ status }) => status), [429, 429, 201])
    assert.equal((await orgd.mails()).length, 1)
  },

  async 'time moves when it is moved'(orgd) {
    const client = new Client(orgd)
    await client.invite('grace@example.com')
    const token = (await orgd.mails())[0].links[0].split('/signup/')[1].replace('/', '')
    assert.equal((await client.call('GET', `/api/signup/${token}/`)).status, 200)
    const begun = await orgd.clock.freeze()
    assert.equal(await orgd.clock.isFrozen(), true)
    const done = await orgd.clock.advance('4d')
    assert.equal(done.settled, true)
    assert.equal(done.now - begun, 4 * 24 * 3600 * 1000)
    assert.equal((await client.call('GET', `/api/signup/${token}/`)).status, 400)
    await orgd.clock.run()
    await assert.rejects(orgd.clock.set(new Date('2020-01-01')), (refusal) => refusal.status === 409)
  },

  async 'a lost answer is a write all the same'(orgd) {
    const fault = await orgd.fail(ROLES, { afterCommit: true, reset: true, times: 1 })
    await assert.rejects(new Client(orgd).makeRole('Operators'))
    const [request] = await orgd.requests(ROLES)
    assert.deepEqual([request.status, request.carried_out], [null, 201])
    assert.deepEqual(await new Client(orgd).roles(), ['Operators'])
    await fault.remove()
    assert.deepEqual(await orgd.faults(), [])
  },

  ...Object.fromEntries(
    ['first', 'second', 'third'].map((name) => [
      `no test sees what another did: ${name}`,
      async (orgd) => {
        const client = new Client(orgd)
        assert.deepEqual(await client.roles(), [])
        assert.ok((await orgd.clock.now()).getFullYear() < 2100)
        await orgd.fail('/api/**', { status: 503, skip: 2 })
        await client.makeRole(name)
        assert.deepEqual(await client.roles(), [name])
        await orgd.clock.advance('36500d')
      },
    ]),
  ),

  async 'forks, snapshots and resets'(orgd) {
    const client = new Client(orgd)
    await client.makeRole('shared')
    await orgd.snapshot('one-role')
    const fork = await orgd.fork()
    await new Client(fork).makeRole('of the fork')
    assert.deepEqual(await new Client(fork).roles(), ['of the fork', 'shared'])
    await fork.stop()
    await client.makeRole('own')
    await orgd.reset('one-role')
    assert.deepEqual(await client.roles(), ['shared'])
    await orgd.reset()
    assert.deepEqual(await client.roles(), [])
    await assert.rejects(orgd.fork('no-such-snapshot'), (refusal) => refusal.status === 404)
  },

  async 'events'(orgd) {
    const body = { api_key: orgd.projectToken, event: 'signed up', distinct_id: 'ada', properties: { plan: 'free' } }
    await new Client(orgd).call('POST', '/e/', body)
    const [event] = await orgd.events('signed up', { distinctId: 'ada', waitCount: 1, waitMs: 5000 })
    assert.equal(event.project_id, orgd.projectId)
    assert.equal(event.properties.plan, 'free')
    assert.deepEqual(await orgd.events('never sent'), [])
  },

  async 'what is misspelt is refused'(orgd) {
    await assert.rejects(orgd.fail('POST /api/organizations/{id}/invitse/', { status: 503 }), Refused)
    await assert.rejects(orgd.assertRequests(INVITES, { count: 1 }), RequestAssertionError)
    await orgd.fail(INVITES, { status: 503 })
    await assert.rejects(orgd.assertFaultsFired(), RequestAssertionError)
  },

  async 'a server of ones own, and one that runs already'() {
    const server = await startOrgd({ args: ['--clock', '2026-01-01T00:00:00Z'] })
    assert.equal((await server.clock.now()).toISOString(), '2026-01-01T00:00:00.000Z')
    assert.equal(server.owner.email, 'demo@example.com')
    const same = await Server.at(server.url, server.key)
    assert.deepEqual([same.projectId, same.projectToken], [server.projectId, server.projectToken])
    assert.equal(same.organizationId, server.organizationId)
    await same.stop()
    assert.deepEqual(await new Client(server).roles(), [])
    await server.stop()
    await assert.rejects(Server.at(server.url, 'phx_none'), /no answer/)
    await assert.rejects(startOrgd({ args: ['--no-such-flag'] }), /--no-such-flag/)
    await assert.rejects(Server.at('http://127.0.0.1:9'), OrgdError)
  },
}
