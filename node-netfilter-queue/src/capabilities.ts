import { readProc } from './proc.js'

// include/uapi/linux/capability.h: #define CAP_NET_ADMIN 12
const CAP_NET_ADMIN = 12n

/** Tells whether this process has CAP_NET_ADMIN in its own user namespace (capabilities(7), CapEff). */
export function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readProc('/proc/self/status') ?? '')?.[1] ?? '0'
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n
}
