/** Checks that this kernel has what the service needs. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { release } from 'node:os'
import { hasNetAdmin, NETLINK_SOCK_DIAG, NetlinkSocket, NLMSG_HDRLEN } from 'node-netfilter-queue/system'
import { pressureOf } from '../../core/ruleset/conntrack-pressure.js'
import { type QueueForm, render, TABLE } from '../../core/ruleset/ruleset.js'
import { readConntrackUsage } from '../../kernel/conntrack/usage.js'
import { chooseForm, kernelAbilities } from '../../kernel/nftables/kernel-abilities.js'
import { Cgroups } from '../../kernel/proc/cgroups.js'
import { readEphemeralPorts, unprivilegedPortStart } from '../../kernel/proc/port-ranges.js'
import { LookUp } from '../../kernel/sockets/look-up-wire.js'
import { ownerOf } from '../../kernel/sockets/socket-owner-wire.js'
import { Sockets } from '../../kernel/sockets/sockets.js'
import { rulesetOptions } from '../../policy/ruleset-options.js'
import { command } from '../../system/run-command.js'
import { grouped } from '../../text/prose.js'
import { attempt, type DoctorContext, running, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'
import { parseQueues } from './proc.js'

const QUEUES = '/proc/self/net/netfilter/nfnetlink_queue'
/** Buffer for the kernel's answer about one socket, in bytes. */
const ANSWER_LENGTH = 1024

/**
 * Returns the form of the queue: that of the running service, or the one that it would choose. Returns
 * undefined when this user may not find out.
 */
export async function formOf(subject: DoctorContext): Promise<QueueForm | Error | undefined> {
  const status = running(subject)
  if (status !== undefined) return status.queue.form
  if (!hasNetAdmin()) return undefined
  return chooseForm(subject.config.firewall.queue).catch((error: Error) => error)
}

export async function kernel(
  subject: DoctorContext,
  form: QueueForm | Error | undefined,
): Promise<Finding[]> {
  const found = new Findings('kernel')
  await queueing(found, form)
  if (form === 'native' || form === 'xtables') await ruleset(found, subject, form)
  conntrack(found)
  await sockets(found)
  await units(found, subject)
  ports(found)
  return found.all
}

async function queueing(found: Findings, form: QueueForm | Error | undefined): Promise<void> {
  const advice = `Linux ${release()} was built without it: take the kernel of the distribution`
  if (form instanceof Error)
    return found.fail(`no queue: ${form.message}`, 'nftables is needed: apt install nftables')
  if (!existsSync(QUEUES)) {
    const isThere = hasModule('nfnetlink_queue')
    if (isThere) found.note('nfnetlink_queue is loaded when the service starts')
    else if (isThere === undefined)
      found.unknown('nfnetlink_queue', 'it is not loaded, and /lib/modules has no list of modules')
    else found.fail('there is no nfnetlink_queue', advice)
  }
  if (form === undefined)
    return found.unknown('the form of the queue', 'it cannot be tried without privileges')
  if (form === 'native') return found.ok('nftables with its own queue statement')
  await iptables(found)
}

async function iptables(found: Findings): Promise<void> {
  const programs = ['iptables', 'ip6tables'] as const
  const versions = await Promise.all(programs.map((program) => attempt([program, '-V'])))
  const missing = programs.filter((_, index) => versions[index] === undefined)
  if (missing.length === 0)
    return found.ok(`nftables without queue statement: rules of ${versions[0]!.trim()} instead`)
  found.fail(
    `${missing.join(' and ')} is missing`,
    'nftables here has no queue statement: apt install iptables',
  )
}

/**
 * Checks that the kernel would take all of our rules. Skipped while the service runs: then they are loaded. A
 * hook that is removed again, even that of connection tracking, drops every packet that waits in any queue;
 * so the check is skipped while other programs have queues, too.
 */
async function ruleset(found: Findings, subject: DoctorContext, form: QueueForm): Promise<void> {
  const { config, policy, status, now } = subject
  if (!(status instanceof Error) || !hasNetAdmin()) return
  if (parseQueues(textOf(QUEUES)).length > 0)
    return found.unknown(
      'whether it takes our firewall rules',
      'a trial would drop packets in the queues of other programs',
    )
  const text = render(
    policy,
    { ...rulesetOptions(config, await kernelAbilities(form), 1), hasOpened: true },
    now,
  )
  const probe = text.replace(`table ${TABLE} {`, `table ${TABLE}_probe {\n  flags dormant`)
  const refusal = await command(['nft', '-c', '-f', '-'], probe).then(
    () => undefined,
    (error: Error) => error.message,
  )
  if (refusal === undefined) found.ok('it takes all firewall rules of this configuration')
  else found.fail('it refuses the firewall rules', refusal)
}

/** @param room usage of connection tracking; for tests */
export function conntrack(found: Findings, room = readConntrackUsage()): void {
  if (room === undefined) {
    const isMissing = hasModule('nf_conntrack') === false
    if (isMissing) found.fail('there is no nf_conntrack', 'take the kernel of the distribution')
    else found.note('connection tracking is loaded when the service starts')
    return
  }
  const { entries, limit } = room
  const pressure = pressureOf(entries, limit, 'none')
  const what = `connection tracking holds ${grouped(entries)} of ${limit ? grouped(limit) : 'any number of'} connections`
  const advice =
    'raise net.netfilter.nf_conntrack_max; `conntrack -L` shows whose they are (docs/sessions.md)'
  if (pressure === 'none') found.ok(what)
  else found[pressure === 'full' ? 'fail' : 'look'](what, advice)
}

async function sockets(found: Findings): Promise<void> {
  const asked = new Sockets()
  try {
    await asked.listening(0)
    found.ok('it answers queries about sockets (inet_diag)')
  } catch (error) {
    found.fail(
      `it does not answer queries about sockets: ${(error as Error).message}`,
      'clients cannot be known: load inet_diag',
    )
  } finally {
    asked.close()
  }
}

/** Checks that systemd units can be found, by the cgroup in which a socket was made. */
async function units(found: Findings, { config }: DoctorContext): Promise<void> {
  const wanted = config.allow.filter(({ units }) => units !== undefined).map(({ name }) => `"${name}"`)
  const grade = wanted.length > 0 ? 'fail' : 'look'
  const lost =
    wanted.length > 0
      ? `the rules ${wanted.join(', ')} allow nothing`
      : 'blocks are logged without their unit'
  const { mount } = new Cgroups()
  if (mount === undefined)
    return found[grade]('no cgroup2 hierarchy is mounted', `${lost}: mount -t cgroup2 none /sys/fs/cgroup`)
  if (await reportsCgroups()) found.ok(`it reports the cgroup of a socket (cgroup2 at ${mount})`)
  else
    found[grade](
      'it does not report the cgroup of a socket',
      `${lost}: Linux 5.9 with CONFIG_SOCK_CGROUP_DATA does`,
    )
}

/** Asks the kernel for the cgroup of a socket of our own. */
async function reportsCgroups(): Promise<boolean> {
  const server = createServer()
  const asked = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, slots: 1 })
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const question = new LookUp()
    question.set(4, Uint32Array.of(0x7f000001, 0, 0, 0), port, new Uint32Array(4), 0, 0)
    const answer = new Uint8Array(ANSWER_LENGTH)
    const length = asked.exchange(question.message, answer, 'asking for a socket')
    return ownerOf(new DataView(answer.buffer), NLMSG_HDRLEN, length)?.cgroup !== undefined
  } catch {
    return false
  } finally {
    asked.close()
    server.close()
  }
}

/**
 * Checks the port ranges that identify senders: ordinary users cannot bind ports below the first, and the
 * kernel chooses ports from the second.
 */
function ports(found: Findings): void {
  const [unprivileged, { first }] = [unprivilegedPortStart(), readEphemeralPorts()]
  if (unprivileged < 1024)
    found.look(
      `any user may bind ports from ${unprivileged} on (net.ipv4.ip_unprivileged_port_start)`,
      'a UDP service is one only below that port: set it to 1024, or name services in sessions.services',
    )
  if (first <= 1024)
    found.look(
      `the kernel chooses ports from ${first} on (net.ipv4.ip_local_port_range)`,
      'sockets of services then look like calls of root: begin at 32768 (docs/design.md, Marks)',
    )
}

/**
 * Whether a module is loaded, can be loaded, or is built in. Returns undefined when there is no list of
 * modules.
 */
function hasModule(name: string, folder = `/lib/modules/${release()}`): boolean | undefined {
  if (existsSync(`/sys/module/${name}`)) return true
  const lists = ['modules.dep', 'modules.builtin'].map((list) => textOf(`${folder}/${list}`)).join('\n')
  return lists.trim() === '' ? undefined : new RegExp(`/${name}\\.ko`).test(lists)
}
