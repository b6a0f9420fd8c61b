// What a server talks to: a mail server, a name server and a receiver of exported events.
import { createSocket } from 'node:dgram'
import { createServer as createHttp } from 'node:http'
import { createServer } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { until } from './server.mjs'

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))

/** A mail server that keeps what it gets, but for mails to addresses that begin with "later". */
export async function mailServer() {
  const mails = []
  const server = createServer((socket) => {
    let rest = ''
    let body = null
    let to = ''
    const say = (line) => socket.write(`${line}\r\n`)
    const hear = (line) => {
      if (body !== null) {
        if (line !== '.') return body.push(line.replace(/^\.\./, '.'))
        mails.push({ to, text: decode(body.join('\n')) })
        body = null
        return say('250 kept')
      }
      if (/^EHLO/i.test(line)) return say('250 sink')
      if (/^RCPT/i.test(line)) to = /<(.*)>/.exec(line)[1]
      if (/^RCPT/i.test(line) && to.startsWith('later')) return say('451 later')
      if (/^QUIT/i.test(line)) { say('221 bye'); return socket.end() }
      if (/^DATA/i.test(line)) { body = []; return say('354 go on') }
      say('250 yes')
    }
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const lines = (rest + data.toString('latin1')).split('\r\n')
      rest = lines.pop()
      lines.forEach(hear)
    })
    say('220 sink')
  })
  const port = await listening(server)
  return {
    url: `smtp://127.0.0.1:${port}`,
    /** The link below this path in the newest mail to this address. */
    link: (to, path) => until(`a mail to ${to} with ${path} arrives`, () => {
      const wanted = new RegExp(`http:\\S*${path}[^\\s<"]*`)
      return mails.filter((mail) => mail.to === to).map((mail) => wanted.exec(mail.text)?.[0]).findLast(Boolean)
    }),
    mails,
    stop: () => server.close(),
  }
}

function decode(text) {
  if (!/quoted-printable/i.test(text)) return text
  return text.replace(/=\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)))
}

/** A name server that knows the TXT records of `names` and nothing else. */
export async function nameServer() {
  const names = new Map()
  const socket = createSocket('udp4')
  socket.on('message', (question, from) => {
    const labels = []
    let at = 12
    while (question[at] > 0) {
      labels.push(question.toString('latin1', at + 1, at + 1 + question[at]))
      at += question[at] + 1
    }
    const asked = question.subarray(12, at + 5)
    const text = question.readUInt16BE(at + 1) === 16 ? names.get(labels.join('.').toLowerCase()) : undefined
    const head = Buffer.from(question.subarray(0, 12))
    // An answer without recursion being refused; with no such name unless there is a text.
    head.writeUInt16BE(text ? 0x8180 : 0x8183, 2)
    head.fill(0, 4, 12)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(text ? 1 : 0, 6)
    const parts = [head, asked]
    if (text) {
      const data = Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
      parts.push(Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, data.length]), data)
    }
    socket.send(Buffer.concat(parts), from.port, from.address)
  })
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { address: `127.0.0.1:${socket.address().port}`, names, stop: () => socket.close() }
}

/** A server that takes batches of events, as PostHog's /batch/ does. */
export async function eventReceiver() {
  const events = []
  const server = createHttp(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    let body = Buffer.concat(parts)
    if (request.headers['content-encoding'] === 'gzip') body = gunzipSync(body)
    const sent = body.length > 0 ? JSON.parse(body.toString()) : {}
    events.push(...(sent.batch ?? []))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"status": 1}')
  })
  const port = await listening(server)
  return { url: `http://127.0.0.1:${port}/batch/`, events, stop: () => { server.closeAllConnections(); server.close() } }
}
