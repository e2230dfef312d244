/**
 * Tests verdicts and options on a real kernel. The scenarios report the packets that arrive and the counters of
 * the rules.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  HELD,
  NF_ACCEPT,
  NF_DROP,
  NF_REPEAT,
  Queue,
  type QueuedPacket,
  QueueOpenError,
  type QueueOptions,
  type Verdict,
} from 'node-netfilter-queue'
import {
  HOST_LE,
  MessageBuilder,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  type NetlinkError,
  NetlinkSocket,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'
import { HOST, seeded, setUp, shell, Traffic, until } from './helper.js'

const open = (onPacket: QueueOptions['onPacket'], options: Partial<QueueOptions> = {}) =>
  Queue.open({ number: 5, onPacket, onError: () => NF_DROP, ...options })

/** Reads the number that Traffic put into the packet: behind 20 bytes of IPv4 and 8 of UDP. */
const numberOf = ({ bytes, start }: QueuedPacket) => Buffer.from(bytes.buffer, start + 28).readUInt32BE()

/** Returns the packet counters of a chain's rules, in their order. */
const counters = (chain: string) =>
  shell(`iptables -w -t mangle -L ${chain} -v -n -x`)
    .split('\n')
    .slice(2)
    .filter((line) => line.trim())
    .map((line) => Number(line.trim().split(/\s+/)[0]))

/**
 * Returns the datagrams that a full receiver socket lost, behind the queue (RcvbufErrors of /proc/net/snmp).
 */
const receiveErrors = () => Number(shell("awk '/^Udp: [0-9]/ { print $6 }' /proc/net/snmp"))

/** Judges packets 0 to count-1, which are sent all at once. */
async function judge(
  count: number,
  onPacket: (packet: QueuedPacket) => Verdict,
  options?: Partial<QueueOptions>,
) {
  const traffic = await Traffic.open()
  const queue = await open(onPacket, options)
  traffic.send(0, count)
  await until(
    () => queue.stats.packets >= Math.min(count, options?.maxLength ?? count),
    'the packets were judged',
  )
  await traffic.settle()
  traffic.close()
  queue.close()
  return { arrived: traffic.arrived, stats: queue.stats }
}

async function openFails(options: Partial<QueueOptions>) {
  try {
    ;(await open(() => NF_ACCEPT, options)).close()
    return 'opened'
  } catch (error) {
    const { name, message } = error as Error
    return { name, message, reason: error instanceof QueueOpenError ? error.reason : undefined }
  }
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: NetlinkError) => error.code ?? error.message,
  )

// The numbers come from include/uapi/linux/rtnetlink.h: RTM_NEWLINK 16, RTM_GETLINK 18
const RTM_NEWLINK = 16
const RTM_GETLINK = 18

/**
 * Builds a request for one device:
 * struct ifinfomsg { __u8 family; __u8 pad; __u16 type; __s32 index; __u32 flags; __u32 change; }
 */
function link(type: number, flags: number, index: number, up = 0): Uint8Array {
  const body = new DataView(new ArrayBuffer(16))
  body.setInt32(4, index, HOST_LE)
  // Bit 1 is IFF_UP.
  body.setUint32(8, up, HOST_LE)
  body.setUint32(12, up, HOST_LE)
  return new MessageBuilder(type, NLM_F_REQUEST | flags).raw(new Uint8Array(body.buffer)).finish()
}

export const kernelScenarios = {
  async acceptAndDrop() {
    setUp()
    return judge(20, (packet) => (numberOf(packet) % 2 ? NF_ACCEPT : NF_DROP))
  },

  /**
   * The kernel sends what the handler has left in the bytes, for every third packet. One in six is sent with too few
   * bytes, and goes to `onError`.
   */
  async sendBytes() {
    setUp()
    const errors: string[] = []
    const change = (packet: QueuedPacket): Verdict => {
      const number = numberOf(packet)
      if (number % 3 !== 0) return NF_ACCEPT
      // Without a checksum, since the bytes change.
      packet.bytes.fill(0, packet.start + 26, packet.start + 28)
      packet.bytes[packet.start + 28] = 1
      packet.sendsBytes = true
      if (number % 6 === 0) packet.length++
      return NF_ACCEPT
    }
    const onError = (error: unknown): Verdict => {
      errors.push((error as Error).name)
      return NF_DROP
    }
    return { ...(await judge(20, change, { onError })), errors }
  },

  /** An accepted packet skips the rules below; a repeated packet meets the rules above with its new mark. */
  async repeat() {
    setUp()
    shell(`iptables -w -I OUTPUT -m mark --mark 0x11000000 -j ACCEPT
      iptables -w -A OUTPUT -p udp --dport 9 -j DROP
      iptables -w -t mangle -A POSTROUTING -m mark --mark 0x11000000
      iptables -w -t mangle -A POSTROUTING -p udp ! --sport 10 -m mark --mark 0`)
    const result = await judge(20, (packet) => {
      if (numberOf(packet) % 2) return NF_ACCEPT
      packet.mark = 0x11000000
      return NF_REPEAT
    })
    return { ...result, counters: counters('POSTROUTING') }
  },

  /** Holds every third packet back, and decides them when the others have arrived: the newest first. */
  async hold() {
    setUp()
    const traffic = await Traffic.open()
    const held: number[] = []
    const queue = await open((packet) => {
      const number = numberOf(packet)
      if (number % 3 > 0) return number % 3 === 1 ? NF_ACCEPT : NF_DROP
      held.push(packet.id)
      return HELD
    })
    traffic.send(0, 10)
    await until(() => queue.stats.packets === 10, 'ten packets were judged')
    traffic.send(10, 20)
    await until(() => queue.stats.packets === 30, 'all packets were judged')
    await traffic.settle()
    const before = { arrived: [...traffic.arrived], held: queue.held }
    const first = held.reverse().map((id, index) => queue.release(id, index % 2 ? NF_DROP : NF_ACCEPT))
    const again = held.map((id) => queue.release(id, NF_ACCEPT))
    await traffic.settle()
    traffic.close()
    const after = { arrived: traffic.arrived.slice(before.arrived.length), held: queue.held }
    queue.close()
    return { before, after, first, again, stats: queue.stats, closed: queue.release(1, NF_ACCEPT) }
  },

  /** Sets verdicts in random runs, so that most of them are sent as batch verdicts. */
  async mixture() {
    setUp()
    shell(`iptables -w -I OUTPUT -m mark --mark 2 -j DROP
      iptables -w -I OUTPUT -m mark --mark 1 -j ACCEPT`)
    const random = seeded(7)
    const kinds: number[] = []
    while (kinds.length < 1000) kinds.push(...Array(1 + random(12)).fill(random(5)))
    const traffic = await Traffic.open()
    const batches: number[] = []
    const queue = await open(
      (packet) => {
        const kind = kinds[numberOf(packet)]!
        if (kind < 2) return kind === 0 ? NF_ACCEPT : NF_DROP
        packet.mark = kind - 1
        return kind === 4 ? NF_ACCEPT : NF_REPEAT
      },
      { onBatch: (packets) => batches.push(packets) },
    )
    const wanted = kinds.slice(0, 1000).flatMap((kind, n) => ([0, 2, 4].includes(kind) ? [n] : []))
    for (let sent = 0; sent < 1000; sent += 100) {
      traffic.send(sent, 100)
      await until(() => queue.stats.packets === sent + 100, 'these packets were judged')
      // The receiver reads 32 datagrams per turn of the loop: the waiting packets must not overflow its
      // socket.
      const soFar = wanted.filter((n) => n < sent + 100).length
      await until(() => traffic.arrived.length >= soFar, 'they arrived').catch(() => {})
    }
    await traffic.settle()
    traffic.close()
    queue.close()
    const arrived = traffic.arrived.sort((a, b) => a - b)
    return { wanted, arrived, largestBatch: Math.max(...batches), stats: queue.stats, lost: receiveErrors() }
  },

  async owner() {
    setUp()
    const uids: number[] = []
    const queue = await open(
      (packet) => {
        uids.push(packet.uid, packet.gid)
        return NF_ACCEPT
      },
      { uidGid: true },
    )
    const other = process.argv[3]
    const program = `require('dgram').createSocket('udp4').send('x', 9, '${HOST}', function () { this.close() })`
    const { spawn } = await import('node:child_process')
    const argv = ['setpriv', '--reuid', '65534', '--regid', '65533', '--clear-groups', process.execPath]
    const child = spawn(other ? argv[0]! : process.execPath, [...(other ? argv.slice(1) : []), '-e', program])
    await once(child, 'exit')
    await until(() => uids.length === 2, 'the packet is seen')
    queue.close()
    return { uids, self: [process.getuid!(), process.getgid!()] }
  },

  /** Sends ten packets into a queue of four, before the process reads any. */
  async full() {
    setUp()
    shell('iptables -w -t mangle -A POSTROUTING -p udp ! --sport 10 --dport 9')
    const closed = await judge(10, () => NF_DROP, { maxLength: 4 })
    const openResult = await judge(10, () => NF_DROP, { maxLength: 4, failOpen: true })
    return { closed, open: openResult, counters: counters('POSTROUTING') }
  },

  async overrun() {
    setUp()
    const traffic = await Traffic.open()
    const queue = await open(() => NF_ACCEPT, { receiveBuffer: 4096 })
    traffic.send(0, 50)
    await until(() => queue.stats.overruns > 0, 'the buffer overran')
    await traffic.settle()
    const before = traffic.arrived.length
    traffic.send(100)
    await until(() => traffic.arrived.includes(100), 'a packet passes afterwards')
    traffic.close()
    queue.close()
    return { before, stats: queue.stats }
  },

  async cut() {
    setUp()
    const seen: number[] = []
    await judge(
      1,
      (packet) => {
        seen.push(packet.end - packet.start, packet.length)
        return NF_ACCEPT
      },
      { copyRange: 28 },
    )
    return seen
  },

  async taken() {
    const first = await open(() => NF_ACCEPT)
    const error = await openFails({})
    first.close()
    return { error, afterwards: await openFails({}) }
  },

  permission: () => openFails({}),

  async ranges() {
    const bad: Partial<QueueOptions>[] = [
      { number: -1 },
      { number: 65536 },
      { number: 1.5 },
      { copyRange: 65536 },
      { maxLength: 0 },
      { batch: 0 },
      { batch: 1025 },
      { receiveBuffer: -1 },
      { receiveBuffer: Number.NaN },
    ]
    const names: string[] = []
    for (const options of bad) names.push(((await openFails(options)) as Error).name)
    return names
  },

  async requests() {
    const socket = new NetlinkSocket({ protocol: NETLINK_ROUTE })
    const names: number[] = []
    const code = {
      acknowledged: await codeOf(socket.request(link(RTM_NEWLINK, 0, 1, 1), 'setting lo up')),
      refused: await codeOf(socket.request(link(RTM_GETLINK, 0, 9999), 'asking for a link')),
      dumped: await codeOf(
        socket.request(link(RTM_GETLINK, NLM_F_DUMP, 0), 'listing links', (message) =>
          names.push(message.type),
        ),
      ),
      threw: await codeOf(
        socket.request(link(RTM_GETLINK, NLM_F_DUMP, 0), 'listing links', () => {
          throw new Error('from onReply')
        }),
      ),
      again: await codeOf(socket.request(link(RTM_GETLINK, 0, 1), 'asking for lo')),
    }
    const underWay = codeOf(socket.request(link(RTM_GETLINK, NLM_F_DUMP, 0), 'listing links'))
    socket.close()
    const closed = await codeOf(socket.request(link(RTM_GETLINK, 0, 1), 'asking for lo'))
    return { ...code, names, underWay: await underWay, closed, up: /UP/.test(shell('ip link show lo')) }
  },

  /** The constants come from ctnetlink: IPCTNL_MSG_CT_GET is 1 of NFNL_SUBSYS_CTNETLINK 1. */
  async conntrack() {
    shell(`ip link set lo up; ip addr add ${HOST}/32 dev lo
      iptables -w -A OUTPUT -m conntrack --ctstate INVALID -j DROP`)
    const traffic = await Traffic.open()
    traffic.send(0)
    await until(() => traffic.arrived.length === 1, 'it arrived')
    const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER })
    let entries = 0
    const request = new MessageBuilder((1 << 8) | 1, NLM_F_REQUEST | NLM_F_DUMP).nfgenmsg(2, 0).finish()
    await socket.request(request, 'listing connections', () => entries++)
    socket.close()
    traffic.close()
    return entries
  },

  /** An event handler that throws stops neither later events nor other requests. */
  async events() {
    const uncaught: string[] = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    let seen = 0
    const socket = new NetlinkSocket({
      protocol: NETLINK_ROUTE,
      groups: [1],
      onMessage: () => {
        seen++
        throw new Error('from onMessage')
      },
    })
    const code = await codeOf(socket.request(link(RTM_NEWLINK, 0, 1, 1), 'setting lo up'))
    await sleep(20)
    socket.close()
    return { code, seen, uncaught }
  },
}
