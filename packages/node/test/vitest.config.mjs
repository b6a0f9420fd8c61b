import { defineConfig } from 'vitest/config'

const files = process.env.INCLUDE === 'failing' ? 'failing.vitest.mjs' : '*.vitest.mjs'
export default defineConfig({
  test: { include: [files], exclude: process.env.INCLUDE ? [] : ['failing.*'], reporters: ['default'] },
})
