/**
 * Runs the binding alone, as a contender of verdicts.ts: every packet gets the same verdict and mark.
 * `node judge.js QUEUE MARK accept|repeat [BATCH]`; on SIGTERM it prints what reference.c prints.
 */
import { NF_ACCEPT, NF_DROP, NF_REPEAT, Queue } from 'node-netfilter-queue'

const [number, mark, word, batch = '64'] = process.argv.slice(2)
const verdict = word === 'repeat' ? NF_REPEAT : NF_ACCEPT
const newMark = Number(mark)
let packets = 0
let first = 0
let last = 0

const queue = await Queue.open({
  number: Number(number),
  batch: Number(batch),
  copyRange: 512,
  maxLength: 16384,
  failOpen: true,
  uidGid: true,
  gso: true,
  receiveBuffer: 8 * 1024 * 1024,
  onPacket: (packet) => {
    packet.mark = newMark
    return verdict
  },
  onError: () => NF_DROP,
  onBatch: (count) => {
    packets += count
    last = performance.now()
    if (first === 0) first = last
  },
})

process.on('SIGTERM', () => {
  queue.close()
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6
  console.log(JSON.stringify({ packets, cpuSeconds, seconds: (last - first) / 1000 }))
})
