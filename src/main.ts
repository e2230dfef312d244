#!/usr/bin/env node
/** The command line. Exit status: 0 good, 1 the answer is no or the configuration is bad, 2 wrong usage. */
import { parseArgs } from 'node:util'
import { namesOf } from './allowlist.js'
import { doctor } from './commands/doctor.js'
import { status } from './commands/status.js'
import { type Config, formatProblem, load, showConfig } from './config.js'
import { render, renderHosts } from './core/ruleset.js'
import { Daemon } from './daemon.js'
import { readHost } from './host.js'
import { chooseForm } from './kernel/firewall.js'
import { readState } from './mirrors/state.js'
import { rulesetOptions } from './policy-in-force.js'
import { createServiceLog } from './report/service-log.js'
import { policyOf } from './rules.js'
import { createUsers } from './users.js'
import { VERSION } from './version.js'

const DEFAULT_CONFIG = '/etc/checkvalve/checkvalve.yaml'

const USAGE = `checkvalve ${VERSION}: an outbound guard for web servers

usage: checkvalve COMMAND [--config PATH] [--set KEY=VALUE]...

  run           judge packets until told to stop (needs CAP_NET_ADMIN)
  check         say whether the configuration can be used
  show-config   the configuration as it takes effect, defaults included
  ruleset       the firewall rules that run would load
  status        what the running service does, and every mirror: where it was found, its addresses [--json]
  doctor        whether this host is fit for it, and the same of mirrors; ends with 1 where something is amiss
  version       the version

  --config PATH      default ${DEFAULT_CONFIG}; PATH's folder may hold conf.d/*.yaml
  --set KEY=VALUE    override one setting, e.g. --set mode=enforce

While it runs: SIGHUP reads the configuration anew, SIGUSR2 opens the block log anew, SIGTERM stops.
`

interface Arguments {
  readonly path: string
  readonly set: readonly string[]
  readonly json?: boolean
}

const COMMANDS: Record<string, (given: Arguments) => number | Promise<number>> = {
  run,
  check,
  'show-config': show,
  ruleset,
  status: showStatus,
  doctor: examine,
  version: () => say(`checkvalve ${VERSION} (node ${process.version})`),
}

async function main(argv: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(argv)
  } catch (error) {
    return usageError((error as Error).message.split('. ')[0]!)
  }
  const { values, positionals } = parsed
  const [name, ...rest] = positionals
  if (values.help || name === 'help') return say(USAGE.trimEnd())
  if (values.version) return COMMANDS.version!({ path: '', set: [] })
  if (name === undefined) return usageError('no command')
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) return usageError(`no such command: ${name}`)
  if (values.json && name !== 'status') return usageError('--json is for status')
  if (rest.length > 0) return usageError(`${name} takes no further word: ${rest[0]}`)
  return command({
    path: values.config ?? process.env.CHECKVALVE_CONFIG ?? DEFAULT_CONFIG,
    set: values.set ?? [],
    json: values.json ?? false,
  })
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      set: { type: 'string', multiple: true },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return 0
}

function usageError(reason: string): number {
  process.stderr.write(`checkvalve: ${reason}\n\n${USAGE}`)
  return 2
}

function read(given: Arguments): ReturnType<typeof load> {
  const { CHECKVALVE_CONFIG: _, ...environment } = process.env
  return load({ path: given.path, environment, set: given.set })
}

/** Reads the configuration, or says all that is wrong with it. */
function readOrComplain(given: Arguments): Config | undefined {
  const loaded = read(given)
  if (loaded.ok) return loaded.config
  for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`)
  return undefined
}

function check(given: Arguments): number {
  const config = readOrComplain(given)
  if (!config) return 1
  for (const note of config.notes) process.stderr.write(`note: ${note}\n`)
  return say('configuration OK')
}

function show(given: Arguments): number {
  const config = readOrComplain(given)
  return config ? say(showConfig(config, createUsers().nameOf).trimEnd()) : 1
}

async function ruleset(given: Arguments): Promise<number> {
  const config = readOrComplain(given)
  if (!config) return 1
  const form = await chooseForm(config.firewall.queue)
  const known = readState(config.state.directory)
  const policy = policyOf(config, readHost(config), {
    targets: (service) => known.services.get(service) ?? [],
    isWayTo: () => false,
  })
  for (const [name, kept] of known.names)
    for (const rule of policy.names.find(name)) for (const { host } of kept) rule.hosts.add(host)
  const missing = [...namesOf(policy)].filter((name) => !known.names.has(name))
  if (missing.length > 0) process.stderr.write(`note: not looked up here: ${missing.join(', ')}\n`)
  const options = { ...rulesetOptions(config, form, 1), hasOpened: true }
  const now = Date.now()
  return say([render(policy, options, now).trimEnd(), ...renderHosts(policy, options, now)].join('\n'))
}

async function showStatus(given: Arguments): Promise<number> {
  const config = readOrComplain(given)
  return config ? say(await status(config.control.socket, given.json ?? false)) : 1
}

async function examine(given: Arguments): Promise<number> {
  const config = readOrComplain(given)
  if (!config) return 1
  const { text, isWell } = await doctor(config, Date.now())
  say(text)
  return isWell ? 0 : 1
}

async function run(given: Arguments): Promise<number> {
  const config = readOrComplain(given)
  if (!config) return 1
  const log = createServiceLog(config.log.level)
  // Heard from the beginning: a signal while it starts must not kill it half-way, with its rules left behind.
  const stop = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
  const started = Daemon.start(config, log)
  let reloading = started.then(() => {})
  process.on('SIGHUP', () => {
    reloading = reloading.then(async () => reload(await started, given, log))
  })
  process.on('SIGUSR2', async () => (await started).reopenLog())
  const daemon = await started
  await stop
  await reloading
  await daemon.stop()
  return 0
}

/** A bad configuration is refused whole: the old one stays. */
async function reload(
  daemon: Daemon,
  given: Arguments,
  log: ReturnType<typeof createServiceLog>,
): Promise<void> {
  const loaded = read(given)
  try {
    if (loaded.ok) return await daemon.reload(loaded.config)
    for (const problem of loaded.problems) log.error(`reload refused: ${formatProblem(problem)}`)
  } catch (error) {
    log.error(`reload failed, the old rules stay: ${(error as Error).message}`)
  }
  daemon.noteBadReload()
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`checkvalve: ${(error as Error).message}\n`)
  // Not exitCode: what was opened before the failure would keep the process.
  process.exit(1)
}
