/**
 * Why a queue could not be opened:
 * - `no-permission`: the process lacks CAP_NET_ADMIN in the network namespace
 * - `taken`: another process is bound to this queue number
 * - `unsupported`: the kernel has no NFQUEUE (CONFIG_NETFILTER_NETLINK_QUEUE)
 * - `failed`: anything else; see `cause`
 */
export type QueueOpenReason = 'no-permission' | 'taken' | 'unsupported' | 'failed'

/** A queue could not be opened. The message says what to do. */
export class QueueOpenError extends Error {
  override name = 'QueueOpenError'
  constructor(
    readonly reason: QueueOpenReason,
    message: string,
    options?: { cause: unknown },
  ) {
    super(message, options)
  }
}
