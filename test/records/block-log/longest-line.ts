/** Makes the longest lines of a block log. */
import { NAME_NOT_ALLOWED } from '../../../src/core/policy/policy.js'
import { blockEvent } from '../../../src/records/block-log/event-writer.js'
import { words } from '../../core/packets.js'
import { kindOf } from './blocks.js'

/** Fields that pino adds. */
const ADDED = {
  '@timestamp': new Date(0).toISOString(),
  'log.level': 'warn',
  'ecs.version': '8.11.0',
  'event.module': 'checkvalve',
}

/**
 * Makes the line of a summary with each name as long as strangers may make it, of one letter.
 * @param isNamed whether the program is known; else the line has candidates
 */
export function longestLine(letter: string, isNamed: boolean): string {
  const long = letter.repeat(5000)
  const group = kindOf({
    uid: 4_294_967_294,
    family: 6,
    protocol: 200,
    source: words('2001:db8:1111:2222:3333:4444:5555:6666'),
    destination: words('2001:db8:1111:2222:3333:4444:5555:7777'),
    sourcePort: 65535,
    destinationPort: 65535,
    reasonIndex: NAME_NOT_ALLOWED.reasonIndex,
    rule: long,
    // These names consist of letters of host names only (src/core/dns/question.ts).
    names: { question: 'q'.repeat(253), domain: 'd'.repeat(253) },
    who: {
      attribution: 'unknown',
      unit: `${long}.service`,
      container: long,
      pid: 4194304,
      executable: isNamed ? long : undefined,
      process: 'not-permitted',
      // The kernel keeps 15 bytes of the name of a program (TASK_COMM_LEN).
      candidates: Array(3).fill(letter.repeat(15 / Buffer.byteLength(letter))),
    },
  })
  const summary = { type: 'summary', group, blocks: 2 ** 53, ms: 900_000 } as const
  const event = blockEvent(summary, { mode: 'observe', userName: () => long })
  return `${JSON.stringify({ ...ADDED, ...event })}\n`
}
