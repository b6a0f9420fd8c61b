// Fails on purpose: its report is looked at.
import { test } from 'orgd/vitest'

test('that fails', async ({ orgd }) => {
  for (let number = 0; number < 23; number++) await fetch(`${orgd.url}/_readyz?${number}`)
  await orgd.fail('POST /api/organizations/{id}/invites/', { status: 503 })
  await orgd.assertRequests('POST /api/organizations/{id}/invites/', { count: 1 })
})
