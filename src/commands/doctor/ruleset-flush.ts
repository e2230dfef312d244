/** Whether something on this host takes all rules away now and then: Debian's nftables.service does on each reload. */
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { entriesOf } from '../../kernel/proc/bounded-reads.js'
import { textOf } from './context.js'
import { type Finding, Findings } from './finding.js'

/** Where it is enabled: a link in one of the folders `*.wants`. */
const UNITS = 'etc/systemd/system'
const CONF = 'etc/nftables.conf'

/** @param root for tests */
export function flush(root = '/'): Finding[] {
  const found = new Findings('firewall')
  const isFlushed = /^\s*flush\s+ruleset\b/m.test(textOf(join(root, CONF)))
  if (isFlushed && isEnabled(root))
    found.note(
      'nftables.service begins with `flush ruleset` (/etc/nftables.conf)',
      'a reload of it takes our table away; it is put back within moments, and counted',
    )
  return found.all
}

const isEnabled = (root: string): boolean =>
  [...entriesOf(join(root, UNITS))].some(
    ({ name }) => name.endsWith('.wants') && isThere(join(root, UNITS, name, 'nftables.service')),
  )

/** Also as a link that leads nowhere from here. */
const isThere = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined
