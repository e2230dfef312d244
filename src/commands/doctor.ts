import type { Config } from '../config/config.js'
import { listMirrors, type MirrorStatus } from '../telemetry/mirror-status.js'
import { jsonText } from '../text/terminal-safe.js'
import { paintFor } from './colours.js'
import { type Command, configOrComplaint, has, type Invocation, say } from './command.js'
import { clock, timeServers } from './doctor/clock.js'
import { createContext, type DoctorContext, running } from './doctor/context.js'
import { environment } from './doctor/environment.js'
import { type Finding, isAmiss } from './doctor/finding.js'
import { folders } from './doctor/folders.js'
import { formOf, kernel } from './doctor/kernel.js'
import { ofThisCommand, privileges } from './doctor/privileges.js'
import { queues } from './doctor/queues.js'
import { findingsText, summary } from './doctor/report.js'
import { resolvers } from './doctor/resolvers.js'
import { routing } from './doctor/routing.js'
import { mirrors, units, users } from './doctor/rules.js'
import { flush } from './doctor/ruleset-flush.js'
import { service } from './doctor/service.js'
import { tables } from './doctor/tables.js'
import { mirrorsText } from './mirrors-text.js'

interface Examination {
  readonly findings: readonly Finding[]
  readonly mirrors: readonly MirrorStatus[]
}

export const doctor: Command = {
  name: 'doctor',
  summary: 'check this host, and list all mirrors',
  details: `Checks the service, privileges, kernel, firewall rules and queues of other
programs, routing, clock, resolvers, log, state, the users and units that rules
name, and mirrors. It changes nothing. Run it as root: without, some checks
cannot be made, and are marked with "?". The exit status is 1 when a finding is
LOOK (somebody should look at it) or FAIL (the service cannot do its work). A
note is good to know, and needs no action.
  --json             output for programs`,
  examples: ['checkvalve doctor', 'checkvalve doctor --json | jq \'.findings[] | select(.grade == "fail")\''],
  options: { json: { type: 'boolean' } },
  async run(given: Invocation): Promise<number> {
    const config = configOrComplaint(given)
    if (!config) return 1
    const now = Date.now()
    const examination = await examine(config, now)
    say(has(given, 'json') ? jsonText(examination, 2) : textOf(examination, now))
    return examination.findings.some(isAmiss) ? 1 : 0
  },
}

const textOf = ({ findings, mirrors }: Examination, now: number): string =>
  [
    findingsText(findings, paintFor(process.stdout)),
    '',
    mirrorsText(mirrors, now).trimEnd(),
    '',
    summary(findings),
  ].join('\n')

async function examine(config: Config, now: number): Promise<Examination> {
  const subject = await createContext(config, now)
  const known = running(subject)?.mirrors ?? (await fromState(subject))
  const form = await formOf(subject)
  const chosen = form instanceof Error ? undefined : form
  const all = await Promise.all([
    service(subject),
    ofThisCommand(),
    privileges(subject, chosen),
    kernel(subject, form),
    queues(subject),
    tables(subject, chosen),
    flush(),
    routing(subject),
    clock(subject),
    timeServers(subject),
    resolvers(subject),
    folders(subject),
    units(subject),
    users(subject),
    environment(subject),
    mirrors(subject, known),
  ])
  return { findings: all.flat(), mirrors: known }
}

/** Lists the mirrors with the addresses in the state file, for when the service does not run. */
async function fromState({ config, host, known }: DoctorContext): Promise<MirrorStatus[]> {
  const { mirrors } = await listMirrors(config, host.mirrors, {
    targets: (service) => known.services.get(service) ?? [],
    addresses: (name) => known.names.get(name) ?? [],
    names: () => [...known.names.keys()],
  })
  return [...mirrors]
}
