/**
 * udp-echo PORT: sends every datagram back, on IPv4 and IPv6. Prints {"listening": PORT}.
 * The answer's source is the address of the device that it leaves by: a host that answers for many addresses
 * does not answer from the address to which the datagram came.
 */

import { createSocket } from 'node:dgram'
import { numberArgument, say } from './say.js'

const socket = createSocket('udp6')
socket.on('message', (message, from) => socket.send(message, from.port, from.address, () => {}))
const port = numberArgument(0)
socket.bind(port, () => say({ listening: port }))
