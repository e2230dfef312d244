/** Sets up the demo: four network namespaces with real servers, and checkvalve in front of one. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Program } from '../test/lab/program.js'
import { createTopology, MIRROR, type Topology } from '../test/lab/topology.js'
import { httpGet, serveDns, serveHttp } from '../test/lab/traffic.js'

const MAIN = fileURLToPath(new URL('../bin/checkvalve.js', import.meta.url))
const SHIPPED = fileURLToPath(new URL('../../config/checkvalve.yaml', import.meta.url))

export const MIRROR_NAME = 'mirror.example.org'
const READY_MS = 60_000
const TRY_AGAIN_MS = 50

export interface Stage {
  readonly lab: Topology
  /** The block log. */
  readonly log: string
  readonly configuration: string
  guard: Program
  /** Returns the samples in /metrics, a line each. */
  metrics(): Promise<string[]>
  /** Starts checkvalve, and waits until it is ready. */
  startGuard(): Promise<void>
  close(): Promise<void>
}

/** Settings that the demo adds to the shipped configuration. */
const settings = (folder: string) => `mode: enforce
mirrors:
  hosts: [${MIRROR_NAME}]
  discover: false
log:
  destination: ${folder}/blocks.json
state:
  directory: ${folder}/state
control:
  socket: ${folder}/control.sock
canary:
  interval: 1s
`

export async function createStage(): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'checkvalve-demo-'))
  const lab = await createTopology()
  try {
    await startServers(lab)
    mkdirSync(join(folder, 'conf.d'))
    copyFileSync(SHIPPED, join(folder, 'checkvalve.yaml'))
    writeFileSync(join(folder, 'conf.d/demo.yaml'), settings(folder))
  } catch (error) {
    await lab.close()
    throw error
  }
  const configuration = join(folder, 'checkvalve.yaml')
  const stage: Stage = {
    lab,
    log: join(folder, 'blocks.json'),
    configuration,
    guard: undefined as unknown as Program,
    metrics: () => scrape(lab),
    startGuard: async () => {
      stage.guard = lab.web.spawn([
        'env',
        '-u',
        'NODE_OPTIONS',
        process.execPath,
        MAIN,
        'run',
        '--config',
        configuration,
      ])
      await ready(stage)
    },
    close: async () => {
      await lab.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return stage
}

async function startServers({ web, mirror }: Topology): Promise<void> {
  await web.file('/etc/resolv.conf', `nameserver ${MIRROR.v4}\n`)
  await Promise.all([
    serveHttp(web, 80),
    serveHttp(mirror, 80),
    serveDns(mirror, { [MIRROR_NAME]: { ttl: 60, A: [MIRROR.v4], AAAA: [MIRROR.v6] } }),
  ])
}

const READYZ = 'http://127.0.0.1:17671/readyz'

async function ready(stage: Stage): Promise<void> {
  for (const end = Date.now() + READY_MS; Date.now() < end; ) {
    if (!stage.guard.running) break
    const { status } = await httpGet(stage.lab.web, READYZ, { timeout: 500 })
    if (status === 200) return
    await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS))
  }
  throw new Error(`checkvalve did not become ready:\n${stage.guard.stderr}`)
}

const SCRAPE = `fetch('http://127.0.0.1:17671/metrics').then((r) => r.text()).then((t) => console.log(t))`

async function scrape({ web }: Topology): Promise<string[]> {
  const { stdout } = await web.run(['env', '-u', 'NODE_OPTIONS', process.execPath, '-e', SCRAPE])
  return stdout.split('\n').filter((line) => line.startsWith('checkvalve_'))
}

/** Sums all samples of a metric whose labels contain `label`. */
export const sum = (samples: readonly string[], name: string, label = ''): number =>
  samples
    .filter((line) => line.startsWith(`checkvalve_${name}`) && line.includes(label))
    .reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)

/** Reads the lines of the block log so far. */
export function logLines({ log }: Stage): string[] {
  try {
    return readFileSync(log, 'utf8').trim().split('\n').filter(Boolean)
  } catch {
    return []
  }
}
