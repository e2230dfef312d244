/** Says on what a benchmark ran: the machine, and the versions of all programs. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { NFQUEUE_FOLDER } from './peers/nfqueue.js'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  /** GiB of memory. */
  readonly memory: number
  readonly kernel: string
}

export const machine = (): Machine => ({
  cpu: cpus()[0]!.model,
  cores: cpus().length,
  memory: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
})

/** How each program is asked for its version. Some print it to standard error, or fail. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  nft: ['nft', '--version'],
  iptables: ['iptables', '--version'],
  dnsmasq: ['dnsmasq', '--version'],
  opensnitchd: ['opensnitchd', '-version'],
  nginx: ['nginx', '-v'],
  wrk: ['wrk', '-v'],
}

export function versions(): Record<string, string> {
  const found: Record<string, string> = { checkvalve: packageVersion('package.json')!, node: process.version }
  const nfqueue = packageVersion(`${NFQUEUE_FOLDER}/package.json`)
  if (nfqueue !== undefined) found['npm nfqueue'] = nfqueue
  for (const [name, [file = '', ...args]] of Object.entries(ASKED)) {
    const { stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8' })
    const version = /\d+\.[\d.]*\d/.exec(`${stdout}${stderr}`)?.[0]
    if (error === undefined && version !== undefined) found[name] = version
  }
  return found
}

function packageVersion(path: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
  } catch {
    return undefined
  }
}
