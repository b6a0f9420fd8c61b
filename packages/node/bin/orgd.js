#!/usr/bin/env node
// Runs the program. Where node can, it becomes the program, so that nothing stands between it and its signals.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { findBinary } from '../binary.js'

const args = process.argv.slice(2)
let binary
try {
  binary = findBinary()
} catch (cause) {
  console.error(`orgd: ${cause.message}`)
  process.exit(1)
}
if (process.execve) process.execve(binary, [binary, ...args], process.env)

const child = spawn(binary, args, { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
child.on('error', (cause) => {
  console.error(`orgd: ${cause.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
