/**
 * These vectors are datagrams of NFQUEUE as a kernel 6.18 (x86_64) sent them, and a message that it received.
 * They were captured in an empty network namespace: a NetlinkSocket printed each datagram. The packets were
 * UDP from port 40000 of the loopback device's own 192.0.2.1 or 2001:db8::1 to itself, queued by iptables -j
 * NFQUEUE, one queue per vector. They are little-endian: netlink's own fields are in the byte order of the
 * host.
 */
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s+/g, ''), 'hex'))

/** A packet of OUTPUT has mark 0x20000000, payload `netfilter` to port 9; no flags set on the queue. */
export const ipv4 = bytes(`
  590000000003000000000000000000000200000a 0b00010000000001080003000800060000000001 0800030020000000
  29000a00450000258e72400040112853c0000201c00002019c4000090011ace16e657466696c746572`)

/** A packet of OUTPUT has owner uid 0 gid 0, to port 10; NFQA_CFG_F_UID_GID. */
export const ipv4Owned = bytes(`
  610000000003000000000000000000000200000b 0b000100000000010800030008000600000000010800100000000000
  0800110000000000 29000a00450000258e73400040112852c0000201c00002019c40000a0011ace06e657466696c746572`)

/** An IPv6 packet of OUTPUT has owner uid 0 gid 0, to port 11; NFQA_CFG_F_UID_GID. */
export const ipv6Owned = bytes(`
  750000000003000000000000000000000a00000c 0b0001000000000186dd03000800060000000001 0800100000000000
  0800110000000000 3d000a00600f66ab0011114020010db800000000000000000000000120010db8000000000000000000000001
  9c40000b0011d56e6e657466696c746572`)

/** A packet of OUTPUT is 64 bytes long and cut at a copy range of 40 bytes (NFQA_CAP_LEN), to port 12. */
export const ipv4Cut = bytes(`
  5c0000000003000000000000000000000200000d 0b00010000000001080003000800060000000001 08000d0000000040
  2c000a00450000408e74400040112836c0000201c00002019c40000c002cf2df61207061796c6f6164206c6f`)

/** A packet of INPUT on the loopback device has an incoming interface and a hardware address (NFQA_HWADDR). */
export const ipv4Input = bytes(`
  610000000003000000000000000000000200000e 0b00010000000001080001000800050000000001
  1000090000060000000000000000000029000a00450000258e75400040112850c0000201c00002019c40000d0011acdd
  6e657466696c746572`)

/**
 * This message binds queue 100: copy range 65,535, length 16,384, flags FAIL_OPEN and UID_GID. The kernel
 * accepted it.
 */
export const bind = bytes(`
  4000000002030100000000000000000000000064 0800010001000000 090002000000ffff02000000 0800030000004000
  0800040000000009 0800050000000009`)
