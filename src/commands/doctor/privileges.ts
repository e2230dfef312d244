/** Checks the capabilities of the service, and names what is lost without each. */
import { hasNetAdmin } from 'node-netfilter-queue/system'
import { type DoctorContext, isAbsent, serviceCapabilities } from './context.js'
import { type Finding, Findings } from './finding.js'
import type { Capability } from './proc.js'

const HOW = 'add it to AmbientCapabilities= and CapabilityBoundingSet= of the unit'

/** @param form of the queue, where it is known */
export function privileges(subject: DoctorContext, form: 'native' | 'xtables' | undefined): Finding[] {
  const found = new Findings('privileges')
  const { of, has } = serviceCapabilities(subject)
  const lacks = (capability: Capability) => !has.has(capability)
  if (of === 'this command' && lacks('CAP_NET_ADMIN')) {
    found.unknown(
      'those of the service',
      `${isAbsent(subject) ? 'it does not run' : 'its process cannot be seen'}, and systemd knows no unit of it: run this as root`,
    )
    return found.all
  }
  if (lacks('CAP_NET_ADMIN')) found.fail(`${of} lacks CAP_NET_ADMIN`, `no packet can be judged: ${HOW}`)
  if (lacks('CAP_NET_RAW') && form !== 'native')
    found.fail(`${of} lacks CAP_NET_RAW`, `iptables needs it, and this kernel the rules of iptables: ${HOW}`)
  if (lacks('CAP_DAC_READ_SEARCH'))
    found.look(
      `${of} lacks CAP_DAC_READ_SEARCH`,
      `the length of the queue cannot be read, nor the sockets of other users' processes: ${HOW}`,
    )
  if (found.all.length === 0) found.ok(`${of} has what it needs`)
  if (lacks('CAP_SYS_PTRACE'))
    found.note(
      `${of} lacks CAP_SYS_PTRACE`,
      'blocks name user and unit, but not the process (docs/attribution.md)',
    )
  return found.all
}

/** Notes that this command may not list firewall rules and queues. */
export function ofThisCommand(): Finding[] {
  const found = new Findings('privileges')
  if (!hasNetAdmin())
    found.unknown('this command lacks CAP_NET_ADMIN', 'firewall and queue are not checked: run it as root')
  return found.all
}
