/** Provides settings and DNS data for the tests of enforced names. */
import { VICTIM } from '../lab/topology.js'
import { ELSEWHERE, NAME } from './resolving.js'

/** The attacker has this domain, and answers for every name below it. */
export const TUNNEL = 'tunnel.example.net'
export const SETTINGS = `dns: { enforceNames: true }
mirrors: { hosts: [${NAME}], ports: [80] }
`
export const RECORDS = { records: { [NAME]: [ELSEWHERE] }, wildcards: { [TUNNEL]: [VICTIM.v4] }, ttl: 1 }

export const framed = (...messages: Buffer[]) =>
  Buffer.concat(
    messages.flatMap((message) => [Buffer.from([message.length >> 8, message.length & 255]), message]),
  )
