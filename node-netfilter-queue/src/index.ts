/**
 * `node-netfilter-queue`: netfilter queues (NFQUEUE). Opens a queue, shows its packets, takes their verdicts.
 * What is not a queue has its own entry point: `node-netfilter-queue/system`.
 */
export { HELD, NF_ACCEPT, NF_DROP, NF_REPEAT, QueuedPacket, type Verdict } from './nfqueue.js'
export { Queue, type QueueOptions, type QueueStats } from './queue.js'
export { QueueOpenError, type QueueOpenReason } from './queue-open-error.js'
