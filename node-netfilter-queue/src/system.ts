/**
 * `node-netfilter-queue/system`: what a service needs of Linux that Node.js has not. Netlink sockets and
 * their messages, sd_notify(3), CAP_NET_ADMIN, and whether a pipe still has a reader.
 */
export { hasNetAdmin } from './capabilities.js'
export { isHungUp } from './hang-up.js'
export { NetlinkError } from './netlink-error.js'
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
} from './netlink-message.js'
export { NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_SOCK_DIAG, NetlinkSocket } from './netlink-socket.js'
export type { NetlinkSocketOptions, Reply, Slab } from './netlink-socket-options.js'
export { sdNotify } from './sd-notify.js'
