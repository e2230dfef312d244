/** Netfilter queues and other netlink sockets for Node.js. See README.md. */
export { NetlinkError, QueueOpenError, type QueueOpenReason } from './errors.js'
export { isHungUp } from './hung-up.js'
export { HELD, NF_ACCEPT, NF_DROP, NF_REPEAT, QueuedPacket, type Verdict } from './nfqueue.js'
export { sdNotify } from './notify.js'
export { hasNetAdmin, Queue, type QueueOptions, type QueueStats } from './queue.js'
export {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
  NetlinkSocket,
  type NetlinkSocketOptions,
  type Reply,
  type Slab,
} from './socket.js'
export {
  align,
  attribute,
  eachAttribute,
  HOST_LE,
  type Message,
  MessageBuilder,
  messages,
  NFGENMSG_LEN,
  NLA_F_NESTED,
  NLA_HDRLEN,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
} from './wire.js'
