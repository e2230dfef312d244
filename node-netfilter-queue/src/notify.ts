import { binding } from './binding.js'
import { NetlinkError } from './errors.js'

/**
 * Tells systemd of the service's state (sd_notify(3)): `READY=1`, `WATCHDOG=1`, `STATUS=...`.
 * @param socket the address in NOTIFY_SOCKET; undefined does nothing
 * @returns whether it was sent
 * @throws NetlinkError when the address cannot be reached
 */
export function sdNotify(socket: string | undefined, state: string): boolean {
  if (!socket) return false
  const result = binding.notify(socket, state)
  if (result < 0) throw new NetlinkError(result, `notifying ${socket}`)
  return true
}
