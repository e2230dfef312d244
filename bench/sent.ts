/** Counts what the web server's user sends to other hosts, before any guard sees it. */
import type { Namespace } from '../test/lab/namespace.js'
import { counterOf } from './peers/peer.js'

const TABLE = `table inet sent {
  counter attempts {}
  chain out {
    type filter hook output priority raw; policy accept;
    oif "lo" return
    meta skuid != 33 return
    tcp flags & (syn | ack) == syn counter name attempts
    meta l4proto udp counter name attempts
  }
}
`

/** Counts from now on: SYNs and UDP packets, as a worm does. @returns a function that returns the count so far */
export async function countSent(web: Namespace): Promise<() => Promise<number>> {
  await web.run(['nft', '--file', '-'], { input: TABLE })
  return () => counterOf(web, 'sent', 'attempts')
}
