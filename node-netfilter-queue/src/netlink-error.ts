import { getSystemErrorName } from 'node:util'

/** A system call of a netlink socket, or a request to the kernel, that failed. */
export class NetlinkError extends Error {
  override name = 'NetlinkError'
  /** Positive errno value (errno(3)). */
  readonly errno: number
  /** Its name: `EPERM`, `ENOBUFS`, ... */
  readonly code: string

  /** @param errno positive or negative errno value @param doing what was tried, for the message */
  constructor(errno: number, doing: string) {
    const code = getSystemErrorName(-Math.abs(errno))
    super(`${doing}: ${code}`)
    this.errno = Math.abs(errno)
    this.code = code
  }
}
