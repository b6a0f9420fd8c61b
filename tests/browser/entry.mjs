// Flows: into the server, and out of it.
import { PASSWORD } from './stage.mjs'
import { until } from './server.mjs'
import { totp } from './totp.mjs'

export async function first_owner(stage) {
  const it = await stage.arrive()
  await it.go('/')
  it.at('/setup')
  const form = { 'First name': 'Ada', 'Last name': 'Lovelace', Organization: 'Acme' }
  if (!stage.isNear) {
    await it.fill({ ...form, 'E-mail': 'ada@example.com', Password: PASSWORD, 'Set-up code': 'AAAAAAAAAA' })
    await it.press('Set up')
    await it.sees('This is not the set-up code.')
    await it.fill({ 'Set-up code': /X-Setup-Code: (\S+)/.exec(stage.server.log)[1] })
  }
  // All faults are named at once; what was typed stays.
  await it.fill({ ...form, 'Last name': 'L.', 'First name': '', 'E-mail': 'nonsense', Password: PASSWORD })
  await it.page.$eval('main form', (form) => { form.noValidate = true })
  await it.press('Set up')
  await isRefused(stage, it, 'First name', 'E-mail')
  if ((await it.value('[name=last_name]')) !== 'L.') throw new Error('what was typed is gone')
  await it.fill({ ...form, 'E-mail': 'ada@example.com', Password: 'short' })
  await it.press('Set up')
  await isRefused(stage, it, 'Password')
  await it.fill({ Password: PASSWORD })
  await it.press('Set up')
  stage.owner = await stage.signIn('ada@example.com')
  stage.organization = stage.owner.user.organization
  await it.sees('Everything is set up.')
  it.at(/^\/organization\//)
  await it.go('/setup', 404)
}

/** The page says which fields are wrong, and the summary has the focus. */
async function isRefused(stage, it, ...labels) {
  if (!(await it.title()).startsWith('Error: ')) throw new Error(`the title is "${await it.title()}"`)
  const links = await it.page.$$eval('[role=alert] a', (all) => all.map((a) => ({ text: a.textContent, id: a.hash.slice(1) })))
  for (const label of labels) {
    if (!links.some(({ text }) => text.includes(label))) throw new Error(`the summary has no link to ${label}: ${JSON.stringify(links)}`)
  }
  for (const { id } of links) if (!(await it.has(`[id="${id}"][aria-invalid=true]`))) throw new Error(`a link leads to ${id}, which is not wrong`)
  const isFocused = await it.page.evaluate(() => document.activeElement.closest('[role=alert]') !== null)
  if (stage.kind.scripts && !isFocused) throw new Error('the summary has not the focus')
}

const signIn = async (it, email, password = PASSWORD) => {
  await it.go('/login')
  await it.fill({ 'E-mail': email, Password: password })
  return it.press('Sign in')
}

export async function sign_in(stage) {
  const { email } = await stage.member('sam')
  const it = await stage.arrive()
  await it.go('/settings/profile')
  it.at('/login')
  await it.fill({ 'E-mail': email, Password: 'not-their-password' })
  const refused = await it.press('Sign in')
  if (refused.status() !== 422) throw new Error(`a wrong password is answered with ${refused.status()}`)
  if ((await it.value('[name=password]')) !== '') throw new Error('the password is shown again')
  await it.fill({ Password: PASSWORD })
  await it.press('Sign in')
  it.at('/settings/profile')
  await it.signOut()
  it.at('/login')
  // Going back shows nothing of what was there, although Chromium has kept the page.
  await it.page.goBack()
  if (stage.kind.scripts) {
    await until('the page is asked for again', () => it.path === '/login')
    await it.seesNot(email)
  }
  await it.go('/settings/profile')
  it.at('/login')
}

export async function lock_out(stage) {
  const { email } = await stage.member('lola')
  const it = await stage.arrive()
  const says = 'Too many'
  for (let tries = 0; !(await it.text()).includes(says); tries++) {
    if (tries > 30) throw new Error('thirty wrong passwords lock nobody out')
    await signIn(it, email, 'wrong-password')
  }
  await signIn(it, email)
  await it.sees(says)
  await it.go('/settings/profile')
  it.at('/login')
}

export async function two_factor(stage) {
  const { email } = await stage.member('tom')
  const it = await stage.arrive()
  await signIn(it, email)
  await it.go('/settings/two-factor')
  const secret = await it.value('#secret')
  await it.fill({ Code: '000000' })
  await it.press('Switch on')
  await isRefused(stage, it)
  await it.fill({ Code: totp(secret) })
  await it.press('Switch on')
  const codes = (await it.value('#codes')).match(/\S+/g)
  if (codes.length !== 10) throw new Error(`${codes.length} recovery codes`)
  await it.press('I have stored them')
  await it.sees('It is on.', '10 recovery codes are left')
  await it.signOut()
  await signIn(it, email)
  it.at('/login/2fa')
  await it.fill({ Code: '000000' })
  await it.press('Go on')
  await isRefused(stage, it)
  // A code is good once: this is the next one.
  await it.fill({ Code: totp(secret, Date.now() + 30_000) })
  await it.press('Go on')
  await it.signOut()
  await signIn(it, email)
  await it.fill({ Code: codes[0] })
  await it.press('Go on')
  await it.go('/settings/two-factor')
  await it.sees('9 recovery codes are left')
  await it.press('Switch off')
  await it.press('Switch off')
  await it.sees('Two-factor authentication is off.')
  await it.signOut()
  await signIn(it, email)
  await it.go('/settings/profile')
}

export async function forgotten_password(stage) {
  const { email, user } = await stage.member('fay')
  const it = await stage.arrive()
  await it.go('/login')
  await it.open('Forgotten your password?')
  await it.fill({ 'E-mail': email })
  await it.press('Send the link')
  await it.sees('If there is an account with this address')
  const link = await stage.mail.link(email, '/reset/')
  await change(it, link, email, 'another-Unrelated-word-1')
  await it.go(link, 410)
  await it.sees('This link does not work any more')
  // The operator makes one where no mail arrives.
  const operator = await stage.arrive(await stage.signIn('ada@example.com'))
  await operator.go(`/instance/users/${user.uuid}`)
  await operator.press('Make a reset link')
  const other = await stage.arrive()
  await change(other, await operator.value('#link'), email, 'another-Unrelated-word-2')
}

async function change(it, link, email, password) {
  await it.go(link)
  await it.fill({ 'New password': password })
  await it.press('Change password')
  it.at('/login')
  await it.sees('Sign in with the new one.')
  await signIn(it, email, password)
  await it.go('/settings/profile')
}

export async function change_of_address(stage) {
  const { email } = await stage.member('cleo')
  const it = await stage.arrive(await stage.signIn(email))
  await it.go('/settings/profile')
  await it.fill({ 'E-mail': 'cleo@example.org', 'Your password now': 'wrong-password' })
  await it.press('Save')
  await isRefused(stage, it, 'Your password now')
  await it.fill({ 'Your password now': PASSWORD })
  await it.press('Save')
  await it.sees('cleo@example.org becomes your address once you open the link')
  const link = await stage.mail.link('cleo@example.org', '/verify_email/')
  await fetch(link)
  await it.go('/settings/profile')
  await it.sees('becomes your address')
  await it.go(link)
  await it.press('Confirm address')
  await it.sees('Your e-mail address is confirmed.')
  await signIn(await stage.arrive(), 'cleo@example.org')
}

export async function sessions(stage) {
  const { email } = await stage.member('sue')
  const [here, there] = [await stage.arrive(), await stage.arrive()]
  await signIn(here, email)
  await signIn(there, email)
  await here.go('/settings/sessions')
  await here.sees('This one')
  // Two more than the session of the invite.
  for (let left = await here.page.$$('td form button'); left.length > 0; left = await here.page.$$('td form button')) {
    await here.follow(left[0])
    await here.sees('The session was ended.')
  }
  await here.sees('1 browser is signed in')
  await there.go('/settings/profile')
  there.at('/login')
  await here.go('/settings/profile')
  here.at('/settings/profile')
}
