/**
 * caller: makes calls for a test, as many at once as it is told of. Reads a `Call` a line, and says
 * {"ID": result} for each when it has it.
 */

import { createInterface } from 'node:readline'
import { connection } from './call.js'
import { getPage } from './page.js'
import { say } from './say.js'
import { shoot } from './shots.js'

const CALLS = { connect: connection, httpGet: getPage, sendUdp: shoot }

export type Calls = typeof CALLS

export interface Call {
  readonly id: number
  readonly call: keyof Calls
  readonly args: readonly (string | number)[]
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, call, args } = JSON.parse(line) as Call
  say({ [id]: await (CALLS[call] as (...args: unknown[]) => Promise<object>)(...args) })
})
