import {
  eachAttribute,
  type Message,
  MessageBuilder,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGENMSG_LEN,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'
import { TABLE } from '../../core/ruleset/ruleset.js'

// include/uapi/linux/netfilter/nfnetlink.h: #define NFNL_SUBSYS_NFTABLES 10
// include/uapi/linux/netfilter/nf_tables.h: enum nf_tables_msg_types { ..., NFT_MSG_NEWGEN = 15,
// NFT_MSG_GETGEN = 16 }
// NFT_MSG_NEWTABLE = 0, NFT_MSG_DELTABLE = 2
const NFT_MSG_NEWTABLE = 10 << 8
const NFT_MSG_DELTABLE = (10 << 8) | 2
const NFT_MSG_NEWGEN = (10 << 8) | 15
const NFT_MSG_GETGEN = (10 << 8) | 16
// enum nfnetlink_groups { ..., NFNLGRP_NFTABLES = 7, ... }
const NFNLGRP_NFTABLES = 7
// enum nft_gen_attributes { NFTA_GEN_UNSPEC, NFTA_GEN_ID, ... }
const NFTA_GEN_ID = 1
// enum nft_table_attributes { NFTA_TABLE_UNSPEC, NFTA_TABLE_NAME, ... }
const NFTA_TABLE_NAME = 1
// include/uapi/linux/netfilter.h: enum { ..., NFPROTO_INET = 1, ... }: the family of TABLE
const NFPROTO_INET = 1
const NAME = TABLE.split(' ')[1]!

/** What the kernel reports of rulesets in this network namespace. */
export interface RulesetEvents {
  /** Called after each transaction, and after events were lost. */
  readonly onChange: () => void
  /** Called after a transaction that has deleted the service's table, and not made it again. */
  readonly onTableGone: () => void
}

/**
 * Reads the number of the ruleset's last change in this network namespace. The number grows with each
 * transaction of any program, and the kernel reports each: a removed ruleset can be put back within
 * milliseconds.
 */
export class RulesetGeneration {
  readonly #requests = new NetlinkSocket({ protocol: NETLINK_NETFILTER, slots: 1 })
  readonly #events: NetlinkSocket
  readonly #on: RulesetEvents
  /** Whether the transaction whose changes are being reported has deleted the table. */
  #isGone = false

  constructor(events: RulesetEvents) {
    this.#on = events
    this.#events = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      groups: [NFNLGRP_NFTABLES],
      onOverrun: events.onChange,
      onMessage: (message) => this.#note(message),
    })
  }

  /** @throws NetlinkError (rejects) */
  async read(): Promise<number> {
    let generation = 0
    const request = new MessageBuilder(NFT_MSG_GETGEN, NLM_F_REQUEST).nfgenmsg(0, 0).finish()
    await this.#requests.request(request, 'reading the ruleset generation', ({ view, payload, end }) => {
      eachAttribute(view, payload + NFGENMSG_LEN, end, (type, start) => {
        if (type === NFTA_GEN_ID) generation = view.getUint32(start)
      })
    })
    return generation
  }

  /** Takes a report: of each change of a transaction first, of its end (NEWGEN) last. */
  #note(message: Message): void {
    const { type } = message
    if (type === NFT_MSG_NEWTABLE || type === NFT_MSG_DELTABLE) {
      if (isOurs(message)) this.#isGone = type === NFT_MSG_DELTABLE
    } else if (type === NFT_MSG_NEWGEN) {
      if (this.#isGone) this.#on.onTableGone()
      this.#isGone = false
      this.#on.onChange()
    }
  }

  close(): void {
    this.#requests.close()
    this.#events.close()
  }
}

/** Whether a message about a table is about that of the service. */
function isOurs({ view, payload, end }: Message): boolean {
  if (payload + NFGENMSG_LEN > end || view.getUint8(payload) !== NFPROTO_INET) return false
  let name = ''
  eachAttribute(view, payload + NFGENMSG_LEN, end, (type, start, stop) => {
    if (type !== NFTA_TABLE_NAME) return
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, stop - start)
    name = String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)))
  })
  return name === NAME
}
