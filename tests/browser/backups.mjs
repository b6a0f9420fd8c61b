// The operator's backups.
import { until } from './server.mjs'

export async function backups(stage) {
  const it = await stage.arrive(await stage.signIn('ada@example.com'))
  await it.go('/instance/backups')
  await until('none is being made', async () => {
    await it.go('/instance/backups')
    return !(await it.text()).includes('is being made')
  })
  await it.press('Make one now')
  await it.sees('A backup is being made.')
  await until('one is there', async () => {
    await it.go('/instance/backups')
    return /orgd-\d+T\d+Z\.redb/.test(await it.main()) && !(await it.text()).includes('is being made')
  })
  await it.open('orgd-')
  await it.sees('orgd restore')
  await it.press('Check it')
  await it.sees('It is whole.', 'Digest')
}
