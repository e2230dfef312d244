import { binding } from './binding.js'
import { NetlinkError } from './netlink-error.js'

/**
 * Sends a service's state to systemd (sd_notify(3)): `READY=1`, `WATCHDOG=1`, `STATUS=...`.
 * @param socket the address in NOTIFY_SOCKET, a path or `@` and an abstract name; undefined or empty: nothing
 *   is sent
 * @param state one or more lines of `NAME=value`, 1,023 bytes at most
 * @returns whether it was sent
 * @throws NetlinkError when the address cannot be reached; EMSGSIZE when the state is too long
 */
export function sdNotify(socket: string | undefined, state: string): boolean {
  if (!socket) return false
  const result = binding.notify(socket, state)
  if (result < 0) throw new NetlinkError(result, `notifying ${socket}`)
  return true
}
