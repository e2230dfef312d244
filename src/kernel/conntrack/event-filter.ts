/**
 * Builds the filter for conntrack events, as classic BPF (include/uapi/linux/bpf_common.h,
 * Documentation/networking/filter.rst). On a busy web server a connection ends with each request, and the
 * kernel deletes it in TIME_WAIT. The filter passes only the events of connections that were still open.
 */
import { HOST_LE, NFGENMSG_LEN, NLA_HDRLEN, NLMSG_HDRLEN } from 'node-netfilter-queue/system'
import {
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTOINFO_TCP_STATE,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_LAST_ACK,
} from './wire.js'

// BPF_LD 0x00, BPF_LDX 0x01, BPF_JMP 0x05, BPF_RET 0x06, BPF_MISC 0x07; BPF_IMM 0x00, BPF_ABS 0x20, BPF_IND
// 0x40; BPF_B 0x10; BPF_JEQ 0x10, BPF_JGT 0x20, BPF_JGE 0x30; BPF_TAX 0x00
const LOAD = 0x00
const LOAD_X = 0x01
const LOAD_BYTE_ABSOLUTE = 0x30
const LOAD_BYTE_AT_X = 0x50
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_GREATER = 0x25
const JUMP_IF_AT_LEAST = 0x35
const RETURN = 0x06
const COPY_TO_X = 0x07
// include/uapi/linux/filter.h: #define SKF_AD_OFF (-0x1000), SKF_AD_NLATTR 12, SKF_AD_NLATTR_NEST 16:
// A becomes the offset of attribute X, at or inside of offset A; 0 when there is none.
const FIND_ATTRIBUTE = 0xfffff000 + 12
const FIND_INSIDE = 0xfffff000 + 16
const ALL = 0xffffffff

/** One instruction; `yes` and `no` are instructions to skip. */
type Instruction = readonly [code: number, k: number, yes?: number, no?: number]

const PROGRAM: readonly Instruction[] = [
  [LOAD, NLMSG_HDRLEN + NFGENMSG_LEN],
  [LOAD_X, CTA_PROTOINFO],
  [LOAD_BYTE_ABSOLUTE, FIND_ATTRIBUTE],
  [JUMP_IF_EQUAL, 0, 9], // UDP has none: take it
  [LOAD_X, CTA_PROTOINFO_TCP],
  [LOAD_BYTE_ABSOLUTE, FIND_INSIDE],
  [JUMP_IF_EQUAL, 0, 7], // neither TCP nor UDP: leave it
  [LOAD_X, CTA_PROTOINFO_TCP_STATE],
  [LOAD_BYTE_ABSOLUTE, FIND_INSIDE],
  [COPY_TO_X, 0],
  [LOAD_BYTE_AT_X, NLA_HDRLEN],
  [JUMP_IF_AT_LEAST, TCP_CONNTRACK_ESTABLISHED, 0, 2],
  [JUMP_IF_GREATER, TCP_CONNTRACK_LAST_ACK, 1, 0],
  [RETURN, ALL],
  [RETURN, 0],
]

/** struct sock_filter { __u16 code; __u8 jt; __u8 jf; __u32 k; }, one after the other. */
export function openConnectionsOnly(): Uint8Array {
  const bytes = new Uint8Array(PROGRAM.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [index, [code, k, yes = 0, no = 0]] of PROGRAM.entries()) {
    view.setUint16(index * 8, code, HOST_LE)
    view.setUint8(index * 8 + 2, yes)
    view.setUint8(index * 8 + 3, no)
    view.setUint32(index * 8 + 4, k, HOST_LE)
  }
  return bytes
}
