/**
 * forget-connections: makes the kernel forget all connections of this network namespace, as `conntrack -F`
 * does.
 */
import {
  MessageBuilder,
  NETLINK_NETFILTER,
  NetlinkSocket,
  NLM_F_ACK,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'

// include/uapi/linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_DELETE = 2. Without a tuple it deletes
// all.
const IPCTNL_MSG_CT_DELETE = (1 << 8) | 2

const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER })
const request = new MessageBuilder(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST | NLM_F_ACK).nfgenmsg(0, 0).finish()
await socket.request(request, 'forgetting connections')
socket.close()
