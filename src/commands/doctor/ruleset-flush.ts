/**
 * Checks whether this host flushes all rules from time to time: Debian's nftables.service does so on each
 * reload.
 */
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { entriesOf } from '../../kernel/proc/bounded-reads.js'
import { textOf } from './context.js'
import { type Finding, Findings } from './finding.js'

/** Folder of the links that enable units: `*.wants`. */
const UNITS = 'etc/systemd/system'
const CONF = 'etc/nftables.conf'

/** @param root for tests */
export function flush(root = '/'): Finding[] {
  const found = new Findings('firewall')
  const isFlushed = /^\s*flush\s+ruleset\b/m.test(textOf(join(root, CONF)))
  if (isFlushed && isEnabled(root))
    found.note(
      'nftables.service begins with `flush ruleset` (/etc/nftables.conf)',
      'its reload removes our table, which is restored within moments, and counted',
    )
  return found.all
}

const isEnabled = (root: string): boolean =>
  [...entriesOf(join(root, UNITS))].some(
    ({ name }) => name.endsWith('.wants') && isThere(join(root, UNITS, name, 'nftables.service')),
  )

/** Whether a path exists, be it a dangling link. */
const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined
