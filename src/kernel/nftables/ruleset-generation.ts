import {
  eachAttribute,
  MessageBuilder,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGENMSG_LEN,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'

// include/uapi/linux/netfilter/nfnetlink.h: #define NFNL_SUBSYS_NFTABLES 10
// include/uapi/linux/netfilter/nf_tables.h: enum nf_tables_msg_types { ..., NFT_MSG_NEWGEN = 15,
// NFT_MSG_GETGEN = 16 }
const NFT_MSG_NEWGEN = (10 << 8) | 15
const NFT_MSG_GETGEN = (10 << 8) | 16
// enum nfnetlink_groups { ..., NFNLGRP_NFTABLES = 7, ... }
const NFNLGRP_NFTABLES = 7
// enum nft_gen_attributes { NFTA_GEN_UNSPEC, NFTA_GEN_ID, ... }
const NFTA_GEN_ID = 1

/**
 * Reads the number of the ruleset's last change in this network namespace. The number grows with each
 * transaction of any program, and the kernel reports each: a removed ruleset can be put back within
 * milliseconds.
 */
export class RulesetGeneration {
  readonly #requests = new NetlinkSocket({ protocol: NETLINK_NETFILTER, slots: 1 })
  readonly #events: NetlinkSocket

  /** @param onChange is called after each transaction, and after events were lost */
  constructor(onChange: () => void) {
    this.#events = new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      groups: [NFNLGRP_NFTABLES],
      onOverrun: onChange,
      onMessage: ({ type }) => {
        if (type === NFT_MSG_NEWGEN) onChange()
      },
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

  close(): void {
    this.#requests.close()
    this.#events.close()
  }
}
