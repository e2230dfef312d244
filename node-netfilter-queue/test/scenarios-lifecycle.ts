/**
 * Tests how a queue ends: it is closed, dropped, killed or thrown out of, while packets are on their
 * way.
 */
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { parentPort, Worker } from 'node:worker_threads'
import { NF_ACCEPT, NF_DROP, Queue, type QueueOptions, type Verdict } from 'node-netfilter-queue'
import { SCENARIOS, setUp, shell, Traffic, until } from './helper.js'

const open = (options: Partial<QueueOptions> = {}) =>
  Queue.open({ number: 5, onPacket: () => NF_ACCEPT, onError: () => NF_DROP, ...options })

const descriptors = () => readdirSync('/proc/self/fd').length

/** Opens a queue and calls `end` at its third packet, while fifty are on their way. */
async function endAtThird(end: (queue: Queue) => void) {
  setUp()
  const traffic = await Traffic.open()
  let seen = 0
  const queue: Queue = await open({
    onPacket: () => {
      if (++seen === 3) end(queue)
      return NF_ACCEPT
    },
  })
  traffic.send(0, 50)
  await until(() => queue.closed, 'the queue is closed')
  await traffic.settle()
  traffic.close()
  return { seen, closed: queue.closed, arrived: traffic.arrived.length }
}

async function throwing(options: Partial<QueueOptions>) {
  setUp()
  const traffic = await Traffic.open()
  const uncaught: string[] = []
  process.on('uncaughtException', (error) => uncaught.push(error.message))
  const queue = await open(options)
  traffic.send(0, 10)
  await until(() => queue.stats.packets === 10, 'ten packets are judged')
  await traffic.settle()
  traffic.close()
  queue.close()
  return { uncaught, arrived: traffic.arrived, stats: queue.stats }
}

function throwAtFive(error: string): () => Verdict {
  let seen = 0
  return () => {
    if (seen++ === 5) throw new Error(error)
    return NF_ACCEPT
  }
}

/** Runs a worker while packets flow from this thread, and ends it with `end`. */
async function withWorker(name: string, end: (worker: Worker, failure: Promise<Error>) => unknown) {
  const worker = new Worker(SCENARIOS, { workerData: name })
  // This does not use once(), which rejects on an error of the worker.
  const exit = new Promise<number>((resolve) => worker.once('exit', resolve))
  const failure = new Promise<Error>((resolve) => worker.once('error', resolve))
  await once(worker, 'message')
  const traffic = await Traffic.open()
  const flow = setInterval(() => traffic.send(0, 100), 1)
  await until(() => traffic.arrived.length > 200, 'packets pass through the worker')
  await end(worker, failure)
  const code = await exit
  clearInterval(flow)
  traffic.close()
  return code
}

async function times(n: number, what: () => Promise<unknown>) {
  const results: unknown[] = []
  for (let i = 0; i < n; i++) results.push(await what())
  return results
}

async function openAndClose() {
  const queue = await open()
  queue.close()
  await setImmediate()
}

const memory = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await setImmediate()
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return { heapUsed, external, arrayBuffers, descriptors: descriptors() }
}

export const lifecycleScenarios = {
  closeInHandler: () => endAtThird((queue) => queue.close()),
  closeTwice: () =>
    endAtThird((queue) => {
      queue.close()
      queue.close()
    }),

  async closeInOnBatch() {
    setUp()
    const traffic = await Traffic.open()
    const queue: Queue = await open({ onBatch: () => queue.close() })
    traffic.send(0, 10)
    await until(() => queue.closed && traffic.arrived.length === queue.stats.packets, 'the batch arrived')
    traffic.close()
    return { arrived: traffic.arrived.length, packets: queue.stats.packets }
  },

  async closeBeforeAnyPacket() {
    ;(await open()).close()
  },

  async exitWithoutClose() {
    setUp()
    const traffic = await Traffic.open()
    const queue = await open()
    traffic.send(0, 10)
    await until(() => queue.stats.packets === 10, 'packets were judged')
    setTimeout(() => process.exit(0))
  },

  exitInHandler: () => endAtThird(() => process.exit(7)),

  throwInHandler: () =>
    throwing({ onPacket: throwAtFive('from onPacket'), onError: (error) => (error ? NF_DROP : NF_ACCEPT) }),
  throwInHandlerAccepted: () =>
    throwing({ onPacket: throwAtFive('from onPacket'), onError: () => NF_ACCEPT }),
  noVerdict: () => throwing({ onPacket: (packet) => (packet.id === 6 ? (undefined as never) : NF_ACCEPT) }),
  throwInOnError: () =>
    throwing({
      onPacket: throwAtFive('from onPacket'),
      onError: () => {
        throw new Error('from onError')
      },
    }),
  throwInOnBatch: () =>
    throwing({
      onBatch: () => {
        throw new Error('from onBatch')
      },
    }),

  /** Does the same without a listener for uncaught exceptions. */
  async dieInOnBatch() {
    setUp()
    const traffic = await Traffic.open()
    await open({
      onBatch: () => {
        throw new Error('from onBatch')
      },
    })
    traffic.send(0, 10)
  },

  /** Transfers the memory that packets are received into to another thread. */
  async slabTransferred() {
    setUp()
    const traffic = await Traffic.open()
    const uncaught: string[] = []
    process.on('uncaughtException', (error) =>
      uncaught.push((error as NodeJS.ErrnoException).code ?? error.message),
    )
    const queue = await open({
      onPacket: (packet) => {
        const { buffer } = packet.bytes
        structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
        return NF_ACCEPT
      },
    })
    traffic.send(0)
    await until(() => queue.stats.packets === 1, 'one packet is judged')
    traffic.send(1)
    await until(() => queue.closed, 'the queue closes')
    traffic.close()
    return { uncaught, arrived: traffic.arrived }
  },

  async workerCloses() {
    setUp()
    return times(3, () => withWorker('untilTold', (worker) => worker.postMessage('close')))
  },
  async workerTerminated() {
    setUp()
    return times(5, () => withWorker('untilTold', (worker) => worker.terminate()))
  },
  async workerExits() {
    setUp()
    return times(3, () => withWorker('exitAtThousand', () => undefined))
  },
  async workerThrows() {
    setUp()
    return times(3, () => withWorker('throwAtThousand', (_worker, failure) => failure))
  },

  async reopen() {
    await times(10, openAndClose)
    const before = descriptors()
    await times(200, openAndClose)
    return { before, after: descriptors() }
  },

  async twoQueues() {
    setUp()
    shell(
      'iptables -w -I OUTPUT -p udp --dport 9 -m statistic --mode nth --every 2 --packet 0 -j NFQUEUE --queue-num 6',
    )
    const traffic = await Traffic.open()
    const [five, six] = await Promise.all([open(), open({ number: 6 })])
    traffic.send(0, 100)
    await until(() => traffic.arrived.length === 100, 'all arrived')
    traffic.close()
    five.close()
    six.close()
    return { five: five.stats.packets, six: six.stats.packets }
  },

  async unreferenced() {
    ;(await open()).keepAlive(false)
  },

  /** Needs --expose-gc. */
  async memory() {
    setUp()
    const cycle = async () => {
      const traffic = await Traffic.open()
      const queue = await open()
      traffic.send(0, 3)
      await until(() => queue.stats.packets === 3, 'three packets are judged')
      traffic.close()
      queue.close()
    }
    await times(20, cycle)
    const before = await memory()
    await times(200, cycle)
    return { before, after: await memory() }
  },

  /** Needs --expose-gc. */
  async dropped() {
    setUp()
    const traffic = await Traffic.open()
    let judged = 0
    await open({
      onPacket: () => {
        judged++
        return NF_ACCEPT
      },
      onBatch: () => globalThis.gc!(),
    })
    for (let round = 1; round <= 10; round++) {
      globalThis.gc!()
      traffic.send(0, 20)
      await until(() => judged === round * 20 && traffic.arrived.length === judged, 'the round arrived')
    }
    setTimeout(() => process.exit(0))
    return { judged }
  },
}

function workerQueue(onPacket: (seen: number) => void) {
  let seen = 0
  return open({
    onPacket: () => {
      onPacket(++seen)
      return NF_ACCEPT
    },
  })
}

export const workerScenarios = {
  async untilTold() {
    const queue = await workerQueue(() => {})
    parentPort!.once('message', () => queue.close())
    return 'open'
  },
  async exitAtThousand() {
    await workerQueue((seen) => {
      if (seen === 1000) process.exit(7)
    })
    return 'open'
  },
  async throwAtThousand() {
    let seen = 0
    await open({
      onBatch: (packets) => {
        seen += packets
        if (seen >= 1000) throw new Error('from the worker')
      },
    })
    return 'open'
  },
}
