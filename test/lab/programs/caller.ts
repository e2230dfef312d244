/**
 * caller: makes calls for a test, all at once. Reads a `Call` a line, and prints {"ID": result} for each when
 * it has the result.
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
