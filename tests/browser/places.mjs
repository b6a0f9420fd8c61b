// Flows: organizations, projects, domains and the audit log.

export async function two_tabs(stage) {
  const other = await stage.owner.post('/api/organizations/', { name: 'Second' })
  const one = await stage.arrive(stage.owner)
  await one.go(`${stage.home}/settings`)
  const two = one.in(await one.tab())
  await two.go(`/organization/${other.slug}/settings`)
  await one.fill({ Name: 'Acme' })
  await one.press('Save')
  await one.sees('Saved.')
  await two.fill({ Name: 'Third' })
  await two.press('Save')
  await two.sees('Saved.')
  if (!(await two.title()).includes('Third') || !(await one.title()).includes('Acme')) throw new Error('the tabs are mixed up')
  const kept = await stage.owner.get(`/api/organizations/${stage.organization.id}/`)
  if (kept.name !== 'Acme') throw new Error(`the first organization is named ${kept.name}`)
  await stage.owner.patch('/api/users/@me/', { set_current_organization: stage.organization.id })
}

export async function private_project(stage) {
  const member = await stage.member('pam')
  const it = await stage.arrive(stage.owner)
  await it.go(`${stage.home}/projects`)
  await it.press('Make a project')
  await it.fill({ Name: 'Secret' })
  await it.press('Make project')
  const project = it.path
  const theirs = await stage.arrive(member)
  await theirs.go(project)
  await it.go(`${project}/settings`)
  await it.fill({ 'Private project': true })
  await it.press('Save')
  await it.sees('Saved.')
  await theirs.go(project, 404)
  await it.go(`${project}/access`)
  await it.open('Change the access of pam')
  await it.fill({ Access: 'Member' })
  await it.press('Save')
  await it.sees('Access was changed.')
  await it.open('Change the access of pam')
  await it.sees('Decides')
  await theirs.go(project)
  // Whoever sends with the old token of a project is refused once there is a new one.
  const before = await it.go(project).then(() => it.value('#token'))
  await it.go(`${project}/settings`)
  await it.press('Reset token')
  await it.press('Reset token')
  await it.sees('The project has a new token.')
  if ((await it.value('#token')) === before) throw new Error('the token is the old one')
}

export async function domain(stage) {
  const it = await stage.arrive(stage.owner)
  await it.go(`${stage.home}/domains`)
  await it.press('Add domain')
  await it.fill({ Domain: 'acme.example' })
  await it.press('Add domain')
  const [name, value] = [await it.value('#txt-name'), await it.value('#txt-value')]
  await it.press('Check now')
  await it.sees('There is no TXT record at')
  stage.names.names.set(name.replace(/\.$/, ''), 'something else')
  await it.press('Check now')
  await it.sees('The DNS answered with other values', 'something else')
  stage.names.names.set(name.replace(/\.$/, ''), value)
  await it.press('Check now')
  await it.sees('The domain is verified.', 'Verified')
}

/** What the flows before have done stands in the audit log. */
export async function audit(stage) {
  const it = await stage.arrive(stage.owner)
  await it.go(`${stage.home}/audit`)
  await it.sees('Ada')
  await it.fill({ 'Text in the details': 'acme.example' })
  await it.press('Filter')
  await it.sees('acme.example')
}
