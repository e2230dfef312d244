/**
 * udp-echo PORT: sends every datagram back, on IPv4 and IPv6. Says {"listening": PORT}.
 * The answer's source is the address of the device it leaves by; so a host that answers for many addresses
 * does not answer from the one that was asked.
 */

import { createSocket } from 'node:dgram'
import { numberArgument, say } from './say.js'

const socket = createSocket('udp6')
socket.on('message', (message, from) => socket.send(message, from.port, from.address, () => {}))
const port = numberArgument(0)
socket.bind(port, () => say({ listening: port }))
