import { hasNetAdmin } from 'node-netfilter-queue'
import { formatPrefix } from '../addressing.js'
import type { Config } from '../config.js'
import { ask } from '../control/client.js'
import { readHost } from '../host.js'
import { chooseForm } from '../kernel/firewall.js'
import { readState } from '../mirrors/state.js'
import { isAddress, isWildcard, listMirrors, type MirrorStatus } from '../status/mirrors.js'
import type { Status } from '../status/status.js'
import { type Command, configOrComplaint, type Given, say } from './command.js'
import { mirrorsText } from './mirrors-text.js'

/** One thing that was looked at. `advice` says what to do where it is not as it should be. */
interface Finding {
  readonly what: string
  readonly advice?: string
}

interface Examination {
  readonly text: string
  readonly isWell: boolean
}

export const doctor: Command = {
  name: 'doctor',
  summary: 'whether this host is fit for it, and the same of mirrors; ends with 1 where something is amiss',
  examples: ['checkvalve doctor'],
  async run(given: Given): Promise<number> {
    const config = configOrComplaint(given)
    if (!config) return 1
    const { text, isWell } = await examine(config, Date.now())
    say(text)
    return isWell ? 0 : 1
  },
}

/** Looks at the host as the service would find it, and at the service where it runs. */
async function examine(config: Config, now: number): Promise<Examination> {
  const host = readHost(config)
  const running = await ask<Status>(config.control.socket, 'GET', '/v1/status').catch((error: Error) => error)
  const mirrors = running instanceof Error ? await fromState(config, host) : running.mirrors
  const findings: Finding[] = [
    running instanceof Error ? { what: 'status', advice: running.message } : { what: 'the service runs' },
    hasNetAdmin()
      ? { what: 'privileges' }
      : { what: 'privileges', advice: 'not looked at further: run this command as root' },
    await queue(config),
    resolvers(config, host),
    ...config.notes.map((note) => ({ what: 'configuration', advice: note })),
    ...host.notes.map((note) => ({ what: 'mirrors', advice: note })),
    ...(running instanceof Error ? [] : unknown(mirrors)),
  ]
  return {
    text: [...findings.map(line), '', mirrorsText(mirrors, now).trimEnd()].join('\n'),
    isWell: findings.every(({ advice }) => advice === undefined),
  }
}

const line = ({ what, advice }: Finding) =>
  advice === undefined ? `ok    ${what}` : `LOOK  ${what}: ${advice}`

async function queue(config: Config): Promise<Finding> {
  if (!hasNetAdmin()) return { what: 'queue', advice: 'cannot be tried without privileges' }
  try {
    return { what: `queue: the ${await chooseForm(config.firewall.queue)} form` }
  } catch (error) {
    return { what: 'queue', advice: (error as Error).message }
  }
}

function resolvers({ infrastructure }: Config, host: ReturnType<typeof readHost>): Finding {
  const all = infrastructure.dns === 'auto' ? host.resolvers : infrastructure.dns
  if (all.length > 0) return { what: `resolvers: ${all.map(formatPrefix).join(', ')}` }
  return {
    what: 'resolvers',
    advice:
      'none outside this host is named in /etc/resolv.conf: name them in infrastructure.dns, or no name is found',
  }
}

const unknown = (mirrors: readonly MirrorStatus[]): Finding[] => {
  const names = mirrors.filter(
    ({ host, addresses }) => !isAddress(host) && !isWildcard(host) && addresses.length === 0,
  )
  if (names.length === 0) return []
  return [
    {
      what: 'mirrors',
      advice: `no address is known of ${names.length} of ${mirrors.length}: see below, and the log`,
    },
  ]
}

/** Where the service does not run: what it knew last. */
async function fromState(
  config: Config,
  host: ReturnType<typeof readHost>,
): Promise<readonly MirrorStatus[]> {
  const { names, services } = readState(config.state.directory)
  const { mirrors } = await listMirrors(config, host.mirrors, {
    targets: (service) => services.get(service) ?? [],
    addresses: (name) => names.get(name) ?? [],
    names: () => [...names.keys()],
  })
  return mirrors
}
