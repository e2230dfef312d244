/** Provides small servers and clients for tests of sessions, as scripts for `node -e`. */
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { NODE } from './service.js'

/**
 * PUSH_TCP PORT: sends a number to each client every 100 ms, even when the client has closed its half. It
 * prints `tick` as often: a test that proves that nothing arrives waits for ticks.
 */
export const PUSH_TCP = `require('net').createServer({ allowHalfOpen: true }, (socket) => {
  let said = 0
  const timer = setInterval(() => socket.write(++said + '\\n'), 100)
  socket.on('error', () => {}).on('close', () => clearInterval(timer))
}).listen(+process.argv[1], () => console.log('listening'))
setInterval(() => console.log('tick'), 100)`

/**
 * PUSH_UDP PORT: sends a number every 100 ms to each address from which a datagram came; it ignores errors.
 */
export const PUSH_UDP = `const socket = require('dgram').createSocket('udp6')
let said = 0
socket.on('message', (_, from) => setInterval(() => socket.send(String(++said), from.port, from.address, () => {}), 100))
socket.bind(+process.argv[1], () => console.log('listening'))`

/** LATE_UDP PORT MS: answers each datagram after MS milliseconds. */
export const LATE_UDP = `const socket = require('dgram').createSocket('udp6')
socket.on('message', (_, from) =>
  setTimeout(() => socket.send('1', from.port, from.address, () => console.log('answered')), +process.argv[2]))
socket.bind(+process.argv[1], () => console.log('listening'))`

/** HEAR_TCP HOST PORT, HEAR_UDP HOST PORT: connects, and prints each number that arrives. */
export const HEAR_TCP = `require('net').connect(+process.argv[2], process.argv[1])
  .on('data', (data) => process.stdout.write(data)).on('error', () => {})`
export const HEAR_UDP = `const [host, port] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.on('message', (data) => console.log(String(data)))
socket.send('hello', +port, host)`

/** HEAR_ONLY HOST PORT: does as HEAR_TCP, and closes its own half of the connection at once. */
export const HEAR_ONLY = `require('net').connect({ port: +process.argv[2], host: process.argv[1], allowHalfOpen: true })
  .on('data', (data) => process.stdout.write(data)).on('error', () => {}).end()`

/** Starts a script, and waits for its first output. */
export async function start(
  place: Namespace,
  script: string,
  ...args: (string | number)[]
): Promise<Program> {
  const program = begin(place, script, ...args)
  await program.until(() => program.stdout || undefined)
  return program
}

/** Starts a script, and does not wait. */
export function begin(place: Namespace, script: string, ...args: (string | number)[]): Program {
  return place.spawn([...NODE, '-e', script, ...args.map(String)])
}

/** Waits until a program that runs PUSH_TCP has had the time to send `count` numbers. */
export async function ticks(sender: Program, count: number): Promise<void> {
  const had = () => sender.stdout.split('tick').length
  const before = had()
  await sender.until(() => had() >= before + count || undefined)
}

/** Returns the last number that a program has received. */
export const last = (program: Program) => Number(program.stdout.trim().split('\n').at(-1) || 0)
