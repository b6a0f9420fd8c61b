/** A client under test: waits as long as a 429 says, and repeats. */
export class Client {
  constructor(orgd) {
    this.orgd = orgd
  }
  async call(method, path, body) {
    const headers = { authorization: `Bearer ${this.orgd.key}`, 'content-type': 'application/json' }
    for (let tries = 0; tries < 5; tries++) {
      const answer = await fetch(this.orgd.url + path, { method, headers, body: JSON.stringify(body) })
      const text = await answer.text()
      if (answer.status !== 429) return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
      await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get('retry-after')) * 1000))
    }
    throw new Error('it was refused to the end')
  }
  invite(email) {
    return this.call('POST', '/api/organizations/@current/invites/', { target_email: email })
  }
  makeRole(name) {
    return this.call('POST', '/api/organizations/@current/roles/', { name })
  }
  async roles() {
    const { body } = await this.call('GET', '/api/organizations/@current/roles/')
    return body.results.map((role) => role.name).sort()
  }
}
