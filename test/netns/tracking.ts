/** What connection tracking does in a namespace, as its operator would arrange it. */
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

/** A rule of the host's own that makes the kernel follow connections: without any it does not. */
export const track = (place: Namespace) => place.run(['nft', '-f', '-'], { input: TRACK })

/** As operators of busy servers have it: nothing on this host is tracked. */
export const untrack = (place: Namespace) => place.run(['nft', '-f', '-'], { input: NOTRACK })

/** Makes the kernel forget all connections, as `conntrack -F` does. */
export const forget = (place: Namespace) => place.run([...NODE, FORGET])
