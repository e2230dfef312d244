import {
  eachAttribute,
  MessageBuilder,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NFGENMSG_LEN,
  NLM_F_REQUEST,
} from 'node-netfilter-queue'

// include/uapi/linux/netfilter/nfnetlink.h: #define NFNL_SUBSYS_NFTABLES 10
// include/uapi/linux/netfilter/nf_tables.h: enum nf_tables_msg_types { ..., NFT_MSG_GETGEN = 16 }
const NFT_MSG_GETGEN = (10 << 8) | 16
// enum nft_gen_attributes { NFTA_GEN_UNSPEC, NFTA_GEN_ID, ... }
const NFTA_GEN_ID = 1

/**
 * The number of the ruleset's last change in this network namespace. It grows with each transaction of anyone,
 * so looking at it once a second is enough to notice, for a few microseconds, that something was changed.
 */
export class RulesetGeneration {
  readonly #socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, slots: 1 })

  constructor() {
    this.#socket.keepAlive(false)
  }

  /** @throws NetlinkError (rejects) */
  async read(): Promise<number> {
    let generation = 0
    const request = new MessageBuilder(NFT_MSG_GETGEN, NLM_F_REQUEST).nfgenmsg(0, 0).finish()
    await this.#socket.request(request, 'reading the ruleset generation', ({ view, payload, end }) => {
      eachAttribute(view, payload + NFGENMSG_LEN, end, (type, start) => {
        if (type === NFTA_GEN_ID) generation = view.getUint32(start)
      })
    })
    return generation
  }

  close(): void {
    this.#socket.close()
  }
}
