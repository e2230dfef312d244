/** Makes filters of sock_diag dumps, which the kernel runs (include/uapi/linux/inet_diag.h). */
import { HOST_LE } from 'node-netfilter-queue/system'

// struct inet_diag_bc_op { __u8 code, yes; __u16 no; };
// INET_DIAG_BC_S_LE: the port is in the `no` of a second op
const INET_DIAG_BC_S_LE = 3

/**
 * Returns a filter for sockets whose local port is at most `last`. The kernel leaves others out by itself: a dump whose
 * part is full begins its hash chain anew for the next part, so that many sockets on one port would take it long.
 */
export function portsUpTo(last: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  view.setUint8(0, INET_DIAG_BC_S_LE)
  // Where to go on, in bytes: behind the filter when it fits, and beyond its end when it does not.
  view.setUint8(1, 8)
  view.setUint16(2, 12, HOST_LE)
  view.setUint16(6, last, HOST_LE)
  return new Uint8Array(view.buffer)
}

/**
 * Returns a filter for sockets on all local ports but these (1 to 65535); undefined for no ports. Of two ops for each
 * port, the first passes what is above it, and the second what is below it.
 */
export function portsWithout(ports: readonly number[]): Uint8Array | undefined {
  if (ports.length === 0) return undefined
  const length = 16 * ports.length
  const view = new DataView(new ArrayBuffer(length))
  const op = (at: number, last: number, otherwise: number) => {
    view.setUint8(at, INET_DIAG_BC_S_LE)
    view.setUint8(at + 1, 8)
    view.setUint16(at + 2, otherwise, HOST_LE)
    view.setUint16(at + 6, last, HOST_LE)
  }
  for (const [i, port] of ports.entries()) {
    op(16 * i, port, 16)
    op(16 * i + 8, port - 1, length - (16 * i + 8) + 4)
  }
  return new Uint8Array(view.buffer)
}
