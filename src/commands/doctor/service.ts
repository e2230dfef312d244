/** Checks the service: whether it runs and what it reports, or whether its socket and port are free. */
import { lstatSync } from 'node:fs'
import { connect } from 'node:net'
import { localAddresses, setOfAddresses } from '../../kernel/proc/local-addresses.js'
import { VERSION } from '../../system/version.js'
import { parseAddress } from '../../text/parse-address.js'
import { timeText } from '../../text/prose.js'
import { fallbackNotice, RULES_LOADED, RULES_MISSING } from '../fallback-notice.js'
import { unprovableText, unprovenText } from '../proof-text.js'
import { type DoctorContext, isAbsent } from './context.js'
import { type Finding, Findings } from './finding.js'

const ANSWER_MS = 2000

export async function service(subject: DoctorContext): Promise<Finding[]> {
  return [
    ...itself(subject),
    ...(await fallback(subject)),
    ...control(subject),
    ...configuration(subject),
    ...(await metrics(subject)),
  ]
}

function itself(subject: DoctorContext): Finding[] {
  const { status } = subject
  const found = new Findings('service')
  if (status instanceof Error) {
    const [what = '', ...advice] = status.message.replace(/^the service /, '').split(': ')
    const isHidden = what.includes('may not be opened')
    const more = isAbsent(subject) ? '; journalctl -u checkvalve says why it ended' : ''
    found[isHidden ? 'unknown' : 'look'](what, `${advice.join(': ')}${more}`)
    return found.all
  }
  found.ok(`running since ${timeText(Date.parse(status.started))}`)
  if (status.version !== VERSION)
    found.look(
      `version ${status.version} runs, and ${VERSION} is installed`,
      'restart it: systemctl restart checkvalve',
    )
  if (status.mode === 'observe')
    found.note('mode is observe', 'nothing is blocked, only recorded: `mode: enforce` closes the valve')
  if (status.mode === 'enforce' && status.proven === false)
    found.fail(
      `nothing proves that it blocks: ${unprovenText(status)}`,
      'see its log: the valve is open, the queue is full, or another firewall comes first',
    )
  const unprovable = unprovableText(status)
  if (status.mode === 'enforce' && unprovable !== undefined)
    found.note(unprovable, 'the rules hold there all the same; a route makes the proof possible')
  if (status.log.trouble)
    found.look(
      `the block log could not be written at ${timeText(Date.parse(status.log.trouble.at))}`,
      status.log.trouble.message,
    )
  return found.all
}

/** Reports what is in force while the service does not run. */
async function fallback(subject: DoctorContext): Promise<Finding[]> {
  const found = new Findings('service')
  const rest = await fallbackNotice(subject.status)
  if (rest === RULES_LOADED)
    found.note(rest, 'it accepts approved connections, and what its copy of the allowlist allows')
  if (rest === RULES_MISSING && subject.config.mode === 'enforce') found.fail(RULES_MISSING, 'start it')
  return found.all
}

/** Checks the path of the control socket. A socket left by a dead service is no obstacle, another file is. */
function control(subject: DoctorContext): Finding[] {
  const found = new Findings('control')
  const { socket } = subject.config.control
  const there = lstatSync(socket, { throwIfNoEntry: false })
  if (there !== undefined && !there.isSocket())
    found.fail(`${socket} is no socket`, 'the service cannot start: remove that file, or set control.socket')
  else if (isAbsent(subject)) found.ok(`${socket} is free`)
  return found.all
}

function configuration({ status, config }: DoctorContext): Finding[] {
  const found = new Findings('configuration')
  const problems = status instanceof Error ? [] : status.reload.problems
  for (const problem of problems) found.look('the last reload was refused', problem)
  for (const note of config.notes) found.look('it names what this host does not have', note)
  if (found.all.length === 0) found.ok('it can be used')
  return found.all
}

/** Checks the pages of the running service, or whether their port is free. */
async function metrics(subject: DoctorContext): Promise<Finding[]> {
  const found = new Findings('metrics')
  const { listen, webConfig } = subject.config.metrics
  const { host, port } = listen
  const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  // This command has neither certificate nor password.
  if (!isAbsent(subject) && webConfig !== 'none') {
    if (await isTaken(host, port)) found.ok(`${place} is open to clients of ${webConfig}`)
    else mute(found, place, 'no connection')
  } else if (!isAbsent(subject)) await pages(found, `http://${reachable(host)}:${port}/readyz`, place)
  else if (!isOfThisHost(host))
    found.fail(`${place} is no address of this host`, 'the service cannot start: set metrics.listen')
  else if (await isTaken(host, port))
    found.fail(`${place} is taken by another program`, 'the service cannot start: set metrics.listen')
  else found.ok(`${place} is free`)
  return found.all
}

function mute(found: Findings, place: string, why: string): void {
  found.fail(`${place} does not answer (${why})`, 'monitoring sees nothing: see the log of the service')
}

async function pages(found: Findings, url: string, place: string): Promise<void> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })
    const text = (await response.text()).trim()
    if (response.ok) found.ok(`${place} says that it is ready`)
    else found.fail(`${place} says that it is not ready`, text.replaceAll('\n', '; '))
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string } }
    mute(found, place, cause?.code ?? message)
  }
}

/** Returns an address to connect to: loopback for a wildcard address. IPv6 is in brackets. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

function isOfThisHost(host: string): boolean {
  const address = parseAddress(host)
  if (!address.ok) return true
  const { family, words } = address.value
  return words.every((word) => word === 0) || setOfAddresses(localAddresses()).has(family, words)
}

const isTaken = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: reachable(host).replace(/^\[|\]$/g, ''), port, timeout: ANSWER_MS })
    const end = (isTaken: boolean) => {
      socket.destroy()
      resolve(isTaken)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
    socket.once('timeout', () => end(false))
  })
