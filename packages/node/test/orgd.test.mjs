// With node:test.
import { test } from 'node:test'
import { forkFor } from 'orgd/node-test'
import { cases } from './cases.js'

for (const [name, run] of Object.entries(cases)) test(name, async (t) => run(await forkFor(t)))
