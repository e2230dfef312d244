import { createRequire } from 'node:module'

/** An open netlink socket of the native part. */
export type Handle = { readonly __handle: unique symbol }

/** What binding.c exports. Numbers below 0 are negative errno values. */
interface Binding {
  open(
    protocol: number,
    slab: Uint8Array,
    lengths: Int32Array,
    onBatch: (count: number, errno: number) => void,
  ): Handle | number
  send(handle: Handle, bytes: Uint8Array, length: number): number
  exchange(handle: Handle, request: Uint8Array, answer: Uint8Array): number
  setFilter(handle: Handle, program: Uint8Array): number
  setOption(handle: Handle, level: number, name: number, value: number): number
  portId(handle: Handle): number
  keepAlive(handle: Handle, yes: boolean): void
  close(handle: Handle): void
  notify(path: string, text: string): number
  hungUp(fd: number): number
}

// From dist/src/ the package's own folder is two levels up.
export const binding = createRequire(import.meta.url)('../../build/binding.node') as Binding
