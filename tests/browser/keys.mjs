// Flows: API keys.
import { Caller } from './server.mjs'

const NEW = '/settings/api-keys/new'

export async function api_keys(stage) {
  const member = await stage.member('kim')
  const it = await stage.arrive(member)
  await it.go(NEW)
  await it.fill({ Label: 'Nightly', 'It may': 'Everything that you may do' })
  await it.press('Make the key')
  const first = await it.value('#key')
  await works(stage, first)
  await it.page.reload()
  await it.seesNot(first)
  await count(member, 1)
  await it.go('/settings/api-keys')
  await it.open('Manage Nightly')
  await it.press('Roll')
  await it.press('Roll the key')
  const second = await it.value('#key')
  await works(stage, second)
  await works(stage, first, 401)
  await copies(stage, it, second)
  await it.press('I have stored it')
  await it.open('Manage Nightly')
  await it.press('Delete')
  await it.press('Delete key')
  await it.sees('The key was deleted.', 'No keys yet')
  await works(stage, second, 401)
}

/** Two presses in a row make one key. */
export async function double_click(stage) {
  const member = await stage.member('dan')
  const it = await stage.arrive(member)
  await it.go(NEW)
  await it.fill({ Label: 'Twice' })
  const button = await it.button('Make the key')
  await Promise.all([it.page.waitForNavigation(), button.click({ count: 2 })])
  await it.page.waitForFunction(() => !document.querySelector('[name=label]') && document.readyState === 'complete', { polling: 100 })
  await count(member, 1)
}

async function works(stage, key, status = 200) {
  await new Caller(stage.server, { key }).send('GET', '/api/users/@me/', undefined, [status])
}

async function count(caller, wanted) {
  const keys = await caller.get('/api/personal_api_keys/')
  const found = (keys.results ?? keys).length
  if (found !== wanted) throw new Error(`there are ${found} keys and not ${wanted}`)
}

/** The button copies where scripts run, and is not there elsewhere. */
async function copies(stage, it, key) {
  const button = await it.page.$('button[data-copy=key]')
  if ((await button.isVisible()) !== stage.kind.scripts) throw new Error('the copy button is wrong')
  if (!stage.kind.scripts) return
  if (stage.isNear) await it.context.overridePermissions(it.base, ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write'])
  await button.click()
  await it.page.waitForFunction((button) => button.textContent !== 'Copy', {}, button)
  const said = await button.evaluate((it) => it.textContent)
  if (said !== 'Copied') throw new Error(`the copy button says "${said}"`)
  if (stage.isNear && (await it.page.evaluate(() => navigator.clipboard.readText())) !== key) throw new Error('something else was copied')
}
