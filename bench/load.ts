/** Runs the loads of the benchmarks: worms, floods, and programs that connect. */
import type { Namespace } from '../test/lab/namespace.js'
import type { Program } from '../test/lab/program.js'
import { C } from './lib.js'

/** The worms of bench/worms/worm.c, and whether they run without their pauses. */
export interface Worm {
  readonly kind: 'code-red' | 'nimda' | 'slammer' | 'mirai' | 'slow'
  readonly full: boolean
}

/** What a worm sent. Their sum over a flood is exact: see worm.c. */
export interface WormReport {
  readonly packets: number
  readonly refused: number
  readonly failed: number
  readonly repeated: number
  readonly seconds: number
  readonly perSecond: readonly number[]
}

export const WORM_USER = 'www-data'

/** Lets a worm loose as the web server's user. @param family 4 or 6 */
export async function spread(
  web: Namespace,
  { kind, full }: Worm,
  family: 4 | 6,
  seconds: number,
): Promise<WormReport> {
  const options = [...(family === 6 ? ['-6'] : []), ...(full ? ['--full'] : [])]
  const argv = [C('worm'), kind, `${seconds}`, ...options]
  return JSON.parse((await web.run(argv, { user: WORM_USER })).stdout) as WormReport
}

/**
 * Starts a flood of root, who may fill a queue however large it is: UDP to 198.19.0.0/16, port 9, each address in
 * turn. It goes on until it is stopped.
 */
export const startFlood = (web: Namespace): Program =>
  web.spawn([C('flood'), '198.19.0.0', '16', '9', '1000000000', '3600'])

/** Figures of connects.c, in microseconds; null when nothing connected. */
export interface Connects {
  readonly attempts: number
  readonly connected: number
  readonly p50: number | null
  readonly p99: number | null
  readonly p999: number | null
}

export async function listen(namespace: Namespace, port: number): Promise<Program> {
  const program = namespace.spawn([C('connects'), 'listen', `${port}`])
  await program.result('listening')
  return program
}

/** Connects as root, again and again. @param pause microseconds after each */
export async function connects(
  web: Namespace,
  address: string,
  port: number,
  seconds: number,
  pause: number,
): Promise<Connects> {
  const argv = [C('connects'), address, `${port}`, `${seconds}`, `${pause}`]
  return JSON.parse((await web.run(argv)).stdout) as Connects
}
