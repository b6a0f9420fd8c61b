// Must type-check, in strict mode.
import { type Mail, type Server, startOrgd } from 'orgd'
import { forkFor } from 'orgd/node-test'
import { test } from 'orgd/vitest'

test('types', async ({ orgd, expect }) => {
  const mails: Mail[] = await orgd.mails({ to: 'grace@example.com', waitCount: 1 })
  expect(mails).toHaveLength(0)
  await orgd.fail('POST /api/organizations/{id}/invites/', { status: 429, retryAfter: 1, times: 2 })
  // @ts-expect-error: there is no such option.
  await orgd.fail('/api/**', { stauts: 429 })
  const until: Date = (await orgd.clock.advance('4d')).now
  expect(until).toBeDefined()
})

export const server: Promise<Server> = startOrgd({ args: ['--ids', '2'] })
export const fork: typeof forkFor = forkFor
