/**
 * Encodes and decodes ctnetlink messages (include/uapi/linux/netfilter/nfnetlink_conntrack.h). Pure: bytes to
 * values.
 */
import {
  align,
  attribute,
  eachAttribute,
  HOST_LE,
  MessageBuilder,
  NFGENMSG_LEN,
  NLA_F_NESTED,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from 'node-netfilter-queue/system'
import type { Family } from '../../core/packet/ip.js'

// include/uapi/linux/netfilter/nfnetlink.h: #define NFNL_SUBSYS_CTNETLINK 1
// enum cntl_msg_types { IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE, ... }
export const IPCTNL_MSG_CT_NEW = (1 << 8) | 0
const IPCTNL_MSG_CT_GET = (1 << 8) | 1
export const IPCTNL_MSG_CT_DELETE = (1 << 8) | 2

// enum nfnetlink_groups { NFNLGRP_NONE, NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE,
// NFNLGRP_CONNTRACK_DESTROY }
export const NFNLGRP_CONNTRACK_NEW = 1
export const NFNLGRP_CONNTRACK_UPDATE = 2
export const NFNLGRP_CONNTRACK_DESTROY = 3

// enum ctattr_type
const CTA_TUPLE_ORIG = 1
const CTA_TUPLE_REPLY = 2
const CTA_STATUS = 3
export const CTA_PROTOINFO = 4
const CTA_MARK = 8
const CTA_ID = 12
const CTA_ZONE = 18
const CTA_MARK_MASK = 21
const CTA_FILTER = 25
// enum ctattr_filter; net/netfilter/nf_internals.h: the fields of a tuple to compare, as bits
const CTA_FILTER_ORIG_FLAGS = 1
const CTA_FILTER_REPLY_FLAGS = 2
const CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3
// enum ctattr_tuple, ctattr_ip, ctattr_l4proto
const CTA_TUPLE_IP = 1
const CTA_TUPLE_PROTO = 2
const CTA_IP_V4_SRC = 1
const CTA_IP_V6_DST = 4
const CTA_PROTO_NUM = 1
const CTA_PROTO_SRC_PORT = 2
const CTA_PROTO_DST_PORT = 3
// enum ctattr_protoinfo, ctattr_protoinfo_tcp
export const CTA_PROTOINFO_TCP = 1
export const CTA_PROTOINFO_TCP_STATE = 1

// enum tcp_conntrack (include/uapi/linux/netfilter/nf_conntrack_tcp.h)
export const TCP_CONNTRACK_ESTABLISHED = 3
export const TCP_CONNTRACK_LAST_ACK = 6

// enum ip_conntrack_status (include/uapi/linux/netfilter/nf_conntrack_common.h)
export const IPS_SEEN_REPLY = 1 << 1

/**
 * A connection in the direction of its replies: from the called end to the calling end. That undoes address
 * translation: these are the addresses of the packets that the called host sends. The object is reused.
 */
export class Flow {
  family: Family = 4
  protocol = 0
  /** The called end, which sends replies. */
  readonly source = new Uint32Array(4)
  sourcePort = 0
  /** The calling end. */
  readonly destination = new Uint32Array(4)
  destinationPort = 0
  /** enum tcp_conntrack; 0 when the message has no state. */
  tcpState = 0
  /** enum ip_conntrack_status. */
  status = 0
}

/**
 * Encodes a request for all connections of a family, or of one protocol. Kernels before 5.8 have no filter
 * and list all of them.
 * @param family 2 AF_INET, 10 AF_INET6
 */
export function dumpRequest(family: number, protocol?: number): Uint8Array {
  const message = new MessageBuilder(IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP).nfgenmsg(family, 0)
  if (protocol === undefined) return message.finish()
  const tuple = attribute(CTA_TUPLE_PROTO | NLA_F_NESTED, attribute(CTA_PROTO_NUM, Uint8Array.of(protocol)))
  const flags = (type: number, value: number) => attribute(type, hostOrder(value))
  return message
    .attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple)
    .attribute(
      CTA_FILTER | NLA_F_NESTED,
      Buffer.concat([
        flags(CTA_FILTER_ORIG_FLAGS, CTA_FILTER_F_CTA_PROTO_NUM),
        flags(CTA_FILTER_REPLY_FLAGS, 0),
      ]),
    )
    .finish()
}

/** The bits of a connection mark under a mask. */
export interface MaskedMark {
  readonly mask: number
  readonly value: number
}

const markAttributes = (message: MessageBuilder, { mask, value }: MaskedMark) =>
  message.attribute(CTA_MARK, networkOrder(value)).attribute(CTA_MARK_MASK, networkOrder(mask))

/** Encodes a request for all connections of a family with this mark. */
export const markedRequest = (family: number, marked: MaskedMark): Uint8Array =>
  markAttributes(
    new MessageBuilder(IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP).nfgenmsg(family, 0),
    marked,
  ).finish()

/** Encodes a request to change the mark of a listed connection; bits outside the mask stay. */
export function markRequest(view: DataView, payload: number, end: number, marked: MaskedMark): Uint8Array {
  const request = new MessageBuilder(IPCTNL_MSG_CT_NEW, NLM_F_REQUEST).nfgenmsg(view.getUint8(payload), 0)
  name(request, view, payload, end)
  return markAttributes(request, marked).finish()
}

/** Encodes a request to delete a listed connection, and no other that has taken its place. */
export function deleteRequest(view: DataView, payload: number, end: number): Uint8Array {
  const request = new MessageBuilder(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST).nfgenmsg(view.getUint8(payload), 0)
  name(request, view, payload, end)
  return request.finish()
}

/** Copies into a request what identifies a listed connection, and no other that has taken its place. */
function name(request: MessageBuilder, view: DataView, payload: number, end: number): void {
  eachAttribute(view, payload + NFGENMSG_LEN, end, (type, start, stop) => {
    const value = new Uint8Array(view.buffer, view.byteOffset + start, stop - start)
    if (type === CTA_TUPLE_ORIG) request.attribute(type | NLA_F_NESTED, value)
    else if (type === CTA_ZONE || type === CTA_ID) request.attribute(type, value)
  })
}

function networkOrder(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

const hostOrder = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)

// include/linux/socket.h: #define AF_INET6 10
const AF_INET6 = 10

/**
 * Reads a connection from a message. @param payload offset of the message's struct nfgenmsg
 * @returns false when a length does not fit or the addresses are missing; `flow` is undefined then
 */
export function readFlow(view: DataView, payload: number, end: number, flow: Flow): boolean {
  if (payload + NFGENMSG_LEN > end) return false
  flow.family = view.getUint8(payload) === AF_INET6 ? 6 : 4
  flow.protocol = 0
  flow.tcpState = 0
  flow.status = 0
  flow.source.fill(0)
  flow.destination.fill(0)
  flow.sourcePort = 0
  flow.destinationPort = 0
  return walk(view, payload + NFGENMSG_LEN, end, flow, readTop) && flow.protocol !== 0
}

type Reader = (view: DataView, type: number, start: number, end: number, flow: Flow) => boolean

/**
 * Does the work of the wire codec's eachAttribute without a closure for each message: a busy server gets
 * thousands.
 */
function walk(view: DataView, start: number, end: number, flow: Flow, read: Reader): boolean {
  let at = start
  while (at + 4 <= end) {
    const length = view.getUint16(at, HOST_LE)
    if (length < 4 || at + length > end) return false
    if (!read(view, view.getUint16(at + 2, HOST_LE) & 0x3fff, at + 4, at + length, flow)) return false
    at += align(length)
  }
  return true
}

function readTop(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  if (type === CTA_TUPLE_REPLY) return walk(view, start, end, flow, readTuple)
  if (type === CTA_PROTOINFO) return walk(view, start, end, flow, readProtoinfo)
  if (type === CTA_STATUS && start + 4 <= end) flow.status = view.getUint32(start)
  return true
}

function readTuple(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  if (type === CTA_TUPLE_IP) return walk(view, start, end, flow, readAddress)
  if (type === CTA_TUPLE_PROTO) return walk(view, start, end, flow, readProto)
  return true
}

/** CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST are 1 to 4: odd ones are sources. */
function readAddress(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  if (type < CTA_IP_V4_SRC || type > CTA_IP_V6_DST) return true
  const words = type <= 2 ? 1 : 4
  if (start + words * 4 > end) return false
  const target = type % 2 === 1 ? flow.source : flow.destination
  for (let i = 0; i < words; i++) target[i] = view.getUint32(start + i * 4)
  return true
}

function readProto(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  if (start >= end) return false
  if (type === CTA_PROTO_NUM) flow.protocol = view.getUint8(start)
  else if (start + 2 > end) return type !== CTA_PROTO_SRC_PORT && type !== CTA_PROTO_DST_PORT
  else if (type === CTA_PROTO_SRC_PORT) flow.sourcePort = view.getUint16(start)
  else if (type === CTA_PROTO_DST_PORT) flow.destinationPort = view.getUint16(start)
  return true
}

function readProtoinfo(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  return type === CTA_PROTOINFO_TCP ? walk(view, start, end, flow, readTcp) : true
}

function readTcp(view: DataView, type: number, start: number, end: number, flow: Flow): boolean {
  if (type === CTA_PROTOINFO_TCP_STATE && start < end) flow.tcpState = view.getUint8(start)
  return true
}
