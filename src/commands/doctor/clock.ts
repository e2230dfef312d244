/** Checks the clock: rules expire by it, and so do the addresses of names. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { originText } from '../../core/policy/origin.js'
import { lacksTimeServer, NAME_ONE, NO_TIME_SERVER } from '../../host/infrastructure-notes.js'
import { timeText } from '../../text/prose.js'
import { attempt, type DoctorContext } from './context.js'
import { type Finding, Findings } from './finding.js'
import { isChronySynchronised } from './proc.js'

/** A file that was written this much later than now shows that the clock went back. */
const AHEAD_MS = 60_000

export async function clock(subject: DoctorContext, root = '/'): Promise<Finding[]> {
  const found = new Findings('clock')
  await keeping(found, root)
  steps(found, subject)
  for (const { name, expires, origin } of subject.config.allow)
    if (expires !== undefined && expires <= subject.now)
      found.note(
        `rule "${name}" expired at ${timeText(expires)}`,
        `it allows nothing: take it out of ${originText(origin)}`,
      )
  return found.all
}

/** Finds the time servers that may be asked. */
export function timeServers({ config, host }: DoctorContext): Finding[] {
  const found = new Findings('clock')
  if (lacksTimeServer(config, host)) found.look(NO_TIME_SERVER, NAME_ONE)
  return found.all
}

/** Finds the time service, and whether it has synchronised the clock. */
async function keeping(found: Findings, root: string): Promise<void> {
  const exists = (path: string) => existsSync(join(root, path))
  const depends = 'rules with an expiry, and certificates, depend on it'
  if (exists('run/systemd/timesync/synchronized')) return found.ok('synchronised by systemd-timesyncd')
  const chrony = exists('run/chrony')
    ? isChronySynchronised((await attempt(['chronyc', '-c', 'tracking'])) ?? '')
    : undefined
  if (chrony) return found.ok('synchronised by chrony')
  if (chrony === false) return found.look('not synchronised by chrony', `${depends}: look at chronyc sources`)
  if (exists('run/systemd/timesync'))
    return found.look(
      'not synchronised by systemd-timesyncd',
      `${depends}: look at timedatectl timesync-status`,
    )
  const other = ['run/chrony', 'run/ntpd.pid', 'run/ntpsec', 'run/openntpd'].find(exists)
  if (other) return found.unknown('whether it is synchronised', `another time service runs (/${other})`)
  found.look('no known time service runs', `${depends}: apt install systemd-timesyncd, or chrony`)
}

/** Finds files that were written later than now. */
function steps(found: Findings, { config, now }: DoctorContext): void {
  const { directory } = config.state
  const files = ['addresses.json', 'generation'].map((name) => join(directory, name))
  const log = config.log.destination === 'stdout' ? [] : [config.log.destination]
  for (const file of [...files, ...log]) {
    const written = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (written > now + AHEAD_MS)
      found.fail(
        `the clock went back: ${file} was written at ${timeText(written)}`,
        'rules expire later than meant: set the clock, and restart the service',
      )
  }
}
