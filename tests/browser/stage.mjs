// Where flows happen: an empty server with all that it talks to, and one kind of browser.
import { DESKTOP, PHONE, Visitor } from './browser.mjs'
import { eventReceiver, mailServer, nameServer } from './receivers.mjs'
import { Caller, joinAs, outerAddress, serve } from './server.mjs'

export const PASSWORD = 'three-Unrelated-words-42'

/** A kind of browser: how large, whether scripts run, and whether it is on another machine, as far as can be seen. */
export const KINDS = [
  { name: 'desktop', view: DESKTOP, scripts: true, isNear: true },
  { name: 'phone', view: PHONE, scripts: true, isNear: false },
  { name: 'desktop without scripts', view: DESKTOP, scripts: false, isNear: false },
  { name: 'phone without scripts', view: PHONE, scripts: false, isNear: true },
]

export class Stage {
  static async set(program, browser, kind) {
    const stage = new Stage()
    const [mail, names, receiver] = await Promise.all([mailServer(), nameServer(), eventReceiver()])
    const address = (!kind.isNear && outerAddress()) || '127.0.0.1'
    const server = await serve(program, {
      address,
      backups: true,
      options: ['--smtp-url', mail.url, '--dns-server', names.address, '--outbound-allow', '127.0.0.0/8'],
    })
    Object.assign(stage, { program, browser, kind, server, mail, names, receiver, visitors: [], isNear: address === '127.0.0.1' })
    return stage
  }

  async clear() {
    await this.leave()
    await this.server.stop()
    for (const it of [this.mail, this.names, this.receiver]) it.stop()
  }

  /** Somebody with a browser of their own, signed in where they bring a session. */
  async arrive(caller) {
    const visitor = await Visitor.arrive(this.browser, this.server.base, { ...this.kind, cookies: caller?.cookies })
    this.visitors.push(visitor)
    return visitor
  }

  /** All browsers are closed; gives what was wrong in them. */
  async leave() {
    // Who types faster than the page takes the focus hears of it.
    const troubles = this.visitors.flatMap((it) => it.troubles).map((it) => it.join(': '))
      .filter((it) => !it.includes('Autofocus processing was blocked'))
    await Promise.all(this.visitors.map((it) => it.leave()))
    this.visitors = []
    return troubles
  }

  /** A member of the first organization, made without the browser. */
  async member(name, level = 1, organization = this.organization.id) {
    const email = `${name}@example.com`
    return Object.assign(await joinAs(this.server, this.owner, organization, level, { email, first_name: name, password: PASSWORD }), { email })
  }

  /** A new session of somebody. */
  async signIn(email, password = PASSWORD) {
    const caller = new Caller(this.server)
    await caller.post('/api/login/', { email, password })
    caller.user = await caller.get('/api/users/@me/')
    return Object.assign(caller, { email })
  }

  get home() { return `/organization/${this.organization.slug}` }
}
