/**
 * The peers that read a queue and have no rules of their own, behind one of two sets of rules: those of
 * checkvalve, which stay loaded after it has stopped; or a single queue rule, the least that they can do with.
 */

import type { Namespace } from '../../test/lab/namespace.js'
import { eventually } from '../../test/lab/waiting.js'
import { kernelCount } from '../../test/netns/service.js'
import { C, script } from '../lib.js'
import { startService } from './checkvalve.js'
import { NFQUEUE_FOLDER, nfqueueAbsent } from './nfqueue.js'
import { counterOf, end, type Guard, MIRRORS, type Peer, type Policy, queueOf } from './peer.js'

const QUEUE = 100
/** The mark of a blocked packet (src/core/ruleset/marks.ts); the single queue rule has the same. */
const BLOCKED = 0x30000000
const REFUSE = [`${QUEUE}`, `${BLOCKED}`, 'repeat'] as const

/** Returns rules that carry out and count what a program has decided by the mark. @param further a rule, at the end */
const carryOut = (further: string) => `table inet own {
  counter refused {}
  chain out {
    type filter hook output priority filter + 10; policy accept;
    meta mark & ${BLOCKED} == ${BLOCKED} counter name refused drop
    ${further}
  }
}
`

/** A worm's packets end here after they were accepted, so that they do not make victims work as well. */
const DROP_WORM = 'oif != "lo" meta skuid 33 ct state new drop'

/** New packets that have no verdict yet go to the queue. Not all kernels have the queue statement of nft. */
const QUEUE_RULE =
  `-A OUTPUT ! -o lo -m conntrack --ctstate NEW -m mark ! --mark ${BLOCKED}/${BLOCKED}`.split(' ')

async function queueRule(web: Namespace, further: string): Promise<() => Promise<number>> {
  await web.run(['nft', '--file', '-'], { input: carryOut(further) })
  for (const program of ['iptables', 'ip6tables'])
    await web.run([program, ...QUEUE_RULE, '-j', 'NFQUEUE', '--queue-num', `${QUEUE}`, '--queue-bypass'])
  return () => counterOf(web, 'own', 'refused')
}

async function rulesOfCheckvalve(web: Namespace, policy: Policy): Promise<() => Promise<number>> {
  const service = await startService(web, policy, 'onStop: keep\n')
  await service.stop()
  await service.remove()
  return () => kernelCount(web, 'blocked')
}

type Rules = (web: Namespace, policy: Policy) => Promise<() => Promise<number>>

function program(name: string, argv: readonly string[], rules: Rules, absent?: string): Peer {
  return { name, absent, start: (web, policy) => start(web, argv, () => rules(web, policy)) }
}

async function start(
  web: Namespace,
  argv: readonly string[],
  rules: () => Promise<Guard['refused']>,
): Promise<Guard> {
  const refused = await rules()
  const program = web.spawn(argv)
  await eventually('the queue is read', () => {
    if (!program.running) throw new Error(`${program.title} ended: ${program.stderr}`)
    return queueOf(web, QUEUE) !== undefined
  })
  return { pid: program.pid, refused, stop: () => end(program) }
}

const singleRule: Rules = (web) => queueRule(web, '')
const NODE = process.execPath
const nfqueue = [NODE, script('nfqueue'), NFQUEUE_FOLDER, `${QUEUE}`, `${BLOCKED}`]

/** The program in C has no policy: it refuses every packet here, and accepts every packet in `referenceAccepts`. */
export const reference = program('C, the same rules', [C('reference'), ...REFUSE], rulesOfCheckvalve)
export const referenceAlone = program('C, one queue rule', [C('reference'), ...REFUSE], singleRule)
export const referenceAccepts = program(
  'C, accepts all',
  [C('reference'), `${QUEUE}`, '0', 'accept'],
  (web) => queueRule(web, DROP_WORM),
)
/** Our own binding without the service. */
export const binding = program('node-netfilter-queue', [NODE, script('judge'), ...REFUSE], rulesOfCheckvalve)
/** A dozen lines of JavaScript on the npm package, which accept what goes to the mirror. */
export const npmNfqueue = program('npm nfqueue', [...nfqueue, ...MIRRORS], singleRule, nfqueueAbsent())
