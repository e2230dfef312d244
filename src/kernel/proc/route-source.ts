import { createSocket } from 'node:dgram'
import { formatAddress } from '../../core/packet/address-text.js'
import type { Address, Words } from '../../core/packet/ip.js'
import { parseAddress } from '../../text/parse-address.js'

/** Any port will do: the kernel only looks for a route. */
const DISCARD = 9

/**
 * Finds the source address from which this host would send to another one: that of a connected UDP socket,
 * which sends nothing (connect(2)).
 * @returns an error with the kernel's code (ENETUNREACH) when no route leads there
 */
export function sourceFor({ family, words }: Address): Promise<Words | Error> {
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
  return new Promise<Words | Error>((resolve) => {
    const fail = ({ code, message }: NodeJS.ErrnoException) => resolve(new Error(code ?? message))
    socket.once('error', fail)
    // The callback gets the error of connect(2), which is then no event.
    socket.connect(DISCARD, formatAddress(family, words), (error?: NodeJS.ErrnoException) => {
      if (error) return fail(error)
      const address = parseAddress(socket.address().address)
      resolve(address.ok ? address.value.words : new Error(address.reason))
    })
  }).finally(() => socket.close())
}
