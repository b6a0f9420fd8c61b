// A person at a browser: opens addresses, fills fields by their labels, presses buttons by their words.
import puppeteer from 'puppeteer-core'

export const DESKTOP = { width: 1200, height: 800 }
export const PHONE = { width: 360, height: 740, isMobile: true, hasTouch: true }

export const launch = (chromium) => puppeteer.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--force-prefers-reduced-motion'],
})

/** What Chromium says itself of every answer that is an error, of a header that wants TLS, and of one that it obeys. */
const USUAL = /^Failed to load resource: the server responded with a status of 4\d\d|^The Cross-Origin-Opener-Policy header has been ignored|^Clear-Site-Data header on/

export class Visitor {
  /** A browser of their own: no cookie is shared with another visitor. */
  static async arrive(browser, base, { view = DESKTOP, scripts = true, cookies = {} } = {}) {
    const visitor = new Visitor()
    visitor.context = await browser.createBrowserContext()
    Object.assign(visitor, { base, view, scripts, troubles: [] })
    visitor.page = await visitor.tab()
    const { hostname } = new URL(base)
    const kept = Object.entries(cookies).map(([name, value]) => ({ name, value, domain: hostname, path: '/' }))
    if (kept.length > 0) await visitor.context.setCookie(...kept)
    return visitor
  }

  /** Another tab of the same browser. */
  async tab() {
    const { base } = this
    const page = await this.context.newPage()
    await page.setViewport(this.view)
    page.setDefaultTimeout(20_000)
    await page.setJavaScriptEnabled(this.scripts)
    const trouble = (text) => this.troubles.push([page.url().replace(base, ''), text])
    page.on('console', (line) => USUAL.test(line.text()) || trouble(`console ${line.type()}: ${line.text()}`))
    page.on('pageerror', (error) => trouble(`script: ${error.message}`))
    page.on('request', (request) => {
      // The pictures of Chromium's own controls are data.
      if (new URL(request.url()).origin !== base && !request.url().startsWith('data:')) trouble(`foreign request: ${request.url()}`)
    })
    return page
  }

  /** The same browser, seen through another of its tabs. */
  in(page) {
    return Object.assign(Object.create(Visitor.prototype), this, { page })
  }

  async leave() {
    await this.context.close()
  }

  async go(path, status = 200) {
    const reply = await this.page.goto(path.startsWith('http') ? path : this.base + path)
    if (status && reply.status() !== status) {
      throw new Error(`${path}: ${reply.status()} instead of ${status}, at ${this.page.url()}: ${await this.text()}`)
    }
    return reply
  }

  get path() { return new URL(this.page.url()).pathname }
  title() { return this.page.title() }
  heading() { return this.page.$eval('h1', (it) => it.textContent.trim()) }
  text() { return this.page.$eval('body', (it) => it.innerText) }
  main() { return this.page.$eval('main', (it) => it.innerText) }
  value(selector) { return this.page.$eval(selector, (it) => it.value ?? it.textContent) }
  has(selector) { return this.page.$(selector).then(Boolean) }

  /** Fails unless the page holds all these texts. */
  async sees(...texts) {
    const shown = await this.text()
    for (const text of texts) {
      const found = text instanceof RegExp ? text.test(shown) : shown.includes(text)
      if (!found) throw new Error(`${this.page.url()} does not say "${text}" but:\n${shown}`)
    }
  }

  async seesNot(...texts) {
    const shown = await this.text()
    for (const text of texts) if (shown.includes(text)) throw new Error(`${this.page.url()} says "${text}"`)
  }

  /** Fails unless this path is the one that is shown. */
  at(path) {
    const fits = path instanceof RegExp ? path.test(this.path) : this.path === path
    if (!fits) throw new Error(`this is ${this.page.url()} and not ${path}`)
  }

  /** Fills controls, found by how their labels begin. `true` and `false` tick boxes. */
  async fill(values) {
    for (const [label, value] of Object.entries(values)) {
      const control = await this.control(label)
      const kind = await control.evaluate((it) => (it.tagName === 'INPUT' ? it.type : it.tagName.toLowerCase()))
      if (kind === 'checkbox' || kind === 'radio') {
        if ((await control.evaluate((it) => it.checked)) !== value) await control.click()
      } else if (kind === 'select') {
        await choose(control, value)
      } else if (kind === 'datetime-local' || kind === 'date') {
        await control.evaluate((it, text) => { it.value = text }, value)
      } else {
        await control.evaluate((it) => { it.focus(); it.select() })
        await (value === '' ? this.page.keyboard.press('Backspace') : this.page.keyboard.sendCharacter(value))
      }
    }
  }

  async control(label) {
    const found = await this.page.evaluateHandle((wanted) => {
      const plain = (it) => it.textContent.replace(/\s+/g, ' ').trim()
      const labels = [...document.querySelectorAll('main label')]
      const fits = labels.find((it) => plain(it) === wanted) ?? labels.find((it) => plain(it).startsWith(wanted))
      return fits?.control
    }, label)
    const control = found.asElement()
    if (!control) throw new Error(`${this.page.url()} has no control "${label}":\n${await this.text()}`)
    return control
  }

  /** A button, or with `link` a link, of these words (hidden ones count) in the page or its menus. */
  async button(words, selector = 'button, a.button, summary') {
    const found = await this.page.evaluateHandle((wanted, selector) => {
      const plain = (it) => (it.getAttribute('aria-label') ?? it.textContent).replace(/\s+/g, ' ').trim()
      const all = [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility())
      return all.find((it) => plain(it) === wanted) ?? all.find((it) => plain(it).startsWith(wanted))
    }, words, selector)
    const button = found.asElement()
    if (!button) throw new Error(`${this.page.url()} has no button "${words}":\n${await this.text()}`)
    return button
  }

  /** Presses a button that leads to another page. */
  async press(words) {
    return this.follow(await this.button(words))
  }

  async open(words) {
    return this.follow(await this.button(words, 'a'))
  }

  async follow(element) {
    // A tab that is not in front hears no clicks.
    await this.page.bringToFront()
    const [reply] = await Promise.all([this.page.waitForNavigation(), element.click()])
    return reply
  }

  /** Presses a button that stays on the page. */
  async push(words) {
    await (await this.button(words)).click()
  }

  async signOut() {
    await this.push('Your account')
    return this.press('Sign out')
  }
}

/** Chooses the option of this text or value. */
async function choose(select, wanted) {
  const value = await select.evaluate((it, wanted) => {
    const options = [...it.options]
    const found = options.find((option) => option.value === wanted || option.text.trim() === wanted)
    return found?.value
  }, wanted)
  if (value === undefined) throw new Error(`there is no choice "${wanted}"`)
  await select.select(value)
}
