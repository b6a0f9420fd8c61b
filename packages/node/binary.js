import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

/** The program that ORGD_BIN names, that of the package for this machine, or the first on the path. */
export function findBinary() {
  const named = process.env.ORGD_BIN
  if (named) {
    if (!isProgram(named)) throw new Error(`ORGD_BIN names ${named}, which is no program`)
    return named
  }
  const platform = `@orgd/${process.platform}-${process.arch}`
  try {
    return createRequire(import.meta.url).resolve(`${platform}/bin/orgd`)
  } catch {
    // Not installed: see below.
  }
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const found = folders.map((folder) => join(folder, 'orgd')).find(isProgram)
  if (found) return found
  throw new Error(`there is no orgd: ${platform} is not installed, ORGD_BIN is not set, and none is on the path`)
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
