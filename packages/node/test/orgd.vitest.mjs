// With vitest.
import { test } from 'orgd/vitest'
import { cases } from './cases.js'

for (const [name, run] of Object.entries(cases)) test(name, ({ orgd }) => run(orgd))
