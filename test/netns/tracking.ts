/** Switches connection tracking in a namespace on and off, as an operator would. */
import { fileURLToPath } from 'node:url'
import type { Namespace } from '../lab/namespace.js'
import { NODE } from './service.js'

const FORGET = fileURLToPath(new URL('./programs/forget-connections.js', import.meta.url))

const TRACK =
  'table inet own { chain in { type filter hook input priority filter; ct state established accept; }; }'
const NOTRACK = `table inet own {
  chain in { type filter hook prerouting priority raw; notrack; }
  chain out { type filter hook output priority raw; notrack; }
}`

/** Adds a rule of the host itself that makes the kernel track connections: without one it does not. */
export const track = (place: Namespace) => place.run(['nft', '-f', '-'], { input: TRACK })

/** Exempts all packets from connection tracking, as operators of busy servers do. */
export const untrack = (place: Namespace) => place.run(['nft', '-f', '-'], { input: NOTRACK })

/** Makes the kernel forget all connections, as `conntrack -F` does. */
export const forget = (place: Namespace) => place.run([...NODE, FORGET])
