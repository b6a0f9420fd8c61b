// Starts the program, calls its API, and signs people in without a browser.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'

/** An address of this machine that other machines reach, or none. */
export function outerAddress() {
  const all = Object.values(networkInterfaces()).flat()
  return all.find((it) => it.family === 'IPv4' && !it.internal)?.address
}

async function freePort(address) {
  const probe = createServer()
  await new Promise((resolve) => probe.listen(0, address, resolve))
  const { port } = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** The route table: method and path of each route. */
export function routes(program) {
  const printed = spawnSync(program, ['routes'], { encoding: 'utf8' }).stdout
  return printed.split('\n').filter(Boolean).map((line) => {
    const [method, path, needs] = line.split(/\s+/)
    return { method, path, needs }
  })
}

/** A server over a new file, which `stop` ends and whose log is kept until then. */
export async function serve(program, { address = '127.0.0.1', options = [], backups = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'orgd-browser-'))
  const listen = `${address}:${await freePort(address)}`
  const args = ['serve', '--listen', listen, '--site-url', `http://${listen}`, '--data', join(folder, 'orgd.redb'), ...options]
  if (backups) args.push('--backup-dir', join(folder, 'backups'))
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const server = { base: `http://${listen}`, log: '', folder, program, data: join(folder, 'orgd.redb') }
  const keep = (text) => { server.log += text }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  process.on('exit', () => child.kill())
  const ended = new Promise((resolve) => child.on('exit', resolve))
  server.stop = async () => {
    child.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
  await until('the server listens', () => {
    if (child.exitCode !== null) throw new Error(`the server has ended:\n${server.log}`)
    return server.log.includes('listening on')
  })
  return server
}

/** Waits until the condition gives something. */
export async function until(what, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await condition()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${seconds} s until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Somebody who calls the API with a key or a session. */
export class Caller {
  constructor(server, { key, cookies = {} } = {}) {
    Object.assign(this, { server, key, cookies })
  }

  async send(method, path, body, accept = [200, 201, 202, 204]) {
    const headers = { 'content-type': 'application/json' }
    if (this.key) headers.authorization = `Bearer ${this.key}`
    const cookies = Object.entries(this.cookies)
    if (cookies.length > 0) headers.cookie = cookies.map(([name, value]) => `${name}=${value}`).join('; ')
    if (this.cookies.posthog_csrftoken) headers['x-csrftoken'] = this.cookies.posthog_csrftoken
    const reply = await fetch(this.server.base + path, {
      method, headers, redirect: 'manual', body: body === undefined ? undefined : JSON.stringify(body),
    })
    for (const line of reply.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      this.cookies[name] = value
    }
    const text = await reply.text()
    if (accept && !accept.includes(reply.status)) throw new Error(`${method} ${path}: ${reply.status} ${text}`)
    return text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text
  }

  /** Sends the form of a page. */
  async form(path, fields = {}) {
    const body = new URLSearchParams({ csrfmiddlewaretoken: this.cookies.posthog_csrftoken, ...fields })
    const cookie = Object.entries(this.cookies).map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { cookie, origin: this.server.base, 'sec-fetch-site': 'same-origin' }
    const reply = await fetch(this.server.base + path, { method: 'POST', headers, body, redirect: 'manual' })
    if (![200, 303].includes(reply.status)) throw new Error(`POST ${path}: ${reply.status} ${await reply.text()}`)
  }

  get(path) { return this.send('GET', path) }
  post(path, body = {}) { return this.send('POST', path, body) }
  patch(path, body) { return this.send('PATCH', path, body) }
}

/** Signs somebody up who becomes the owner of an organization of their own. */
export async function signUp(server, person) {
  const caller = new Caller(server)
  await caller.post('/api/signup/', person)
  caller.user = await caller.get('/api/users/@me/')
  return caller
}

/** Invites somebody and accepts in their name. */
export async function joinAs(server, owner, organization, level, person) {
  const at = `/api/organizations/${organization}/invites/`
  const invite = await owner.post(at, { target_email: person.email, level, send_email: false })
  const { link } = await owner.get(`${at}${invite.id}/link/`)
  const caller = new Caller(server)
  const token = new URL(link).pathname.split('/').filter(Boolean).pop()
  await caller.post(`/api/signup/${token}/`, { first_name: person.first_name, password: person.password })
  caller.user = await caller.get('/api/users/@me/')
  return caller
}
