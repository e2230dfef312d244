import { createRequire } from 'node:module'

/** The version in this package's package.json, wherever in the package this code is. */
export const VERSION = (createRequire(import.meta.url)('checkvalve/package.json') as { version: string })
  .version
