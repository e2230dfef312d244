/**
 * Knows where scripts/bench has installed the npm package `nfqueue`: it is no dependency of the project, only a
 * program that is measured.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const NFQUEUE_FOLDER = fileURLToPath(
  new URL('../../../bench/build/nfqueue/node_modules/nfqueue', import.meta.url),
)

export const nfqueueAbsent = () =>
  existsSync(`${NFQUEUE_FOLDER}/build/Release/nfqueue.node`) ? undefined : 'absent: not installed'
