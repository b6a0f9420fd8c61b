// Flows: invites, and who leaves.
import { PASSWORD } from './stage.mjs'
import { joinAs } from './server.mjs'

/** The owner invites somebody on the page, and gets the link. */
async function invite(stage, email) {
  const it = await stage.arrive(stage.owner)
  await it.go(`${stage.home}/invites`)
  await it.press('Invite people')
  await it.fill({ 'E-mail addresses': email, Message: 'Come in <b>now</b>' })
  await it.press('Invite')
  await it.sees('The invite was made.', email)
  return it.value('#link')
}

export async function invite_of_a_new_person(stage) {
  const link = await invite(stage, 'nina@example.com')
  // Programs that look into mails open links; that uses nothing up.
  await fetch(link, { method: 'HEAD' })
  await fetch(link)
  await fetch(link)
  if ((await stage.mail.link('nina@example.com', '/signup/')) !== link) throw new Error('the mail has another link')
  const it = await stage.arrive()
  await it.go(link)
  await it.sees('Join Acme', 'Ada', 'Come in <b>now</b>', 'nina@example.com')
  await it.fill({ 'First name': 'Nina', Password: PASSWORD })
  await it.press('Join')
  await it.sees('You have joined the organization.')
  it.at(/^\/organization\//)
  const late = await stage.arrive()
  await late.go(link, 410)
  await late.sees('This invite does not work any more')
}

export async function invite_of_somebody_with_an_account(stage) {
  const other = await stage.owner.post('/api/organizations/', { name: 'Elsewhere' })
  await joinAs(stage.server, stage.owner, other.id, 1, { email: 'eve@example.com', first_name: 'Eve', password: PASSWORD })
  await stage.owner.patch('/api/users/@me/', { set_current_organization: stage.organization.id })
  const link = await invite(stage, 'eve@example.com')
  const it = await stage.arrive()
  await it.go(link)
  it.at('/login')
  await it.fill({ 'E-mail': 'eve@example.com', Password: PASSWORD })
  await it.press('Sign in')
  it.at(/^\/signup\//)
  await it.press('Join')
  await it.sees('You have joined the organization.')
}

export async function invite_opened_by_somebody_else(stage) {
  const link = await invite(stage, 'new@example.com')
  const it = await stage.arrive(await stage.member('olaf'))
  await it.go(link)
  await it.sees('This invite is for somebody else', 'olaf@example.com')
  await it.press('Sign out')
  await it.go(link)
  await it.sees('Join Acme')
}

export async function invite_taken_back(stage) {
  const link = await invite(stage, 'gone@example.com')
  const it = await stage.arrive(stage.owner)
  await it.go(`${stage.home}/invites`)
  await it.open('Open the invite of gone@example.com')
  await it.press('Revoke')
  await it.press('Revoke')
  await it.sees('Its link no longer works.')
  await it.go(link, 410)
}

export async function leaving(stage) {
  const member = await stage.member('leo')
  const it = await stage.arrive(member)
  await it.go(`${stage.home}/members/${member.user.uuid}`)
  await it.press('Leave')
  await it.sees('Leave Acme?')
  await it.press('Leave')
  await it.sees('You have left the organization.')
  await it.go(`${stage.home}/members`, null)
  await it.seesNot('Ada')
}

export async function the_last_owner_stays(stage) {
  const it = await stage.arrive(stage.owner)
  const page = `${stage.home}/members/${stage.owner.user.uuid}`
  await it.go(page)
  await it.sees('Owners cannot leave.')
  await it.seesNot('Danger zone')
  await it.go(`${page}/remove`)
  it.at(page)
}
