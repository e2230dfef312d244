/** Small servers and clients for tests of sessions, as scripts for `node -e`. */
import type { Namespace } from '../lab/namespace.js'
import type { Program } from '../lab/program.js'
import { NODE } from './service.js'

/**
 * PUSH_TCP PORT: says a number to each client every 100 ms, also to one that has said its last word. It writes
 * `tick` as often, so that who waits for what must not come knows that there was time for it.
 */
export const PUSH_TCP = `require('net').createServer({ allowHalfOpen: true }, (socket) => {
  let said = 0
  const timer = setInterval(() => socket.write(++said + '\\n'), 100)
  socket.on('error', () => {}).on('close', () => clearInterval(timer))
}).listen(+process.argv[1], () => console.log('listening'))
setInterval(() => console.log('tick'), 100)`

/** PUSH_UDP PORT: says a number every 100 ms to whoever has sent something; it hears of no error. */
export const PUSH_UDP = `const socket = require('dgram').createSocket('udp6')
let said = 0
socket.on('message', (_, from) => setInterval(() => socket.send(String(++said), from.port, from.address, () => {}), 100))
socket.bind(+process.argv[1], () => console.log('listening'))`

/** LATE_UDP PORT MS: answers each datagram after MS milliseconds. */
export const LATE_UDP = `const socket = require('dgram').createSocket('udp6')
socket.on('message', (_, from) =>
  setTimeout(() => socket.send('1', from.port, from.address, () => console.log('answered')), +process.argv[2]))
socket.bind(+process.argv[1], () => console.log('listening'))`

/** HEAR_TCP HOST PORT, HEAR_UDP HOST PORT: writes each number that comes. */
export const HEAR_TCP = `require('net').connect(+process.argv[2], process.argv[1])
  .on('data', (data) => process.stdout.write(data)).on('error', () => {})`
export const HEAR_UDP = `const [host, port] = process.argv.slice(1)
const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
socket.on('message', (data) => console.log(String(data)))
socket.send('hello', +port, host)`

/** HEAR_ONLY HOST PORT: the same, and closes its own half of the connection at once. */
export const HEAR_ONLY = `require('net').connect({ port: +process.argv[2], host: process.argv[1], allowHalfOpen: true })
  .on('data', (data) => process.stdout.write(data)).on('error', () => {}).end()`

/** Starts a script, and waits for its first word. */
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

/** Waits until a speaker has had the time for so many numbers. */
export async function ticks(speaker: Program, count: number): Promise<void> {
  const had = () => speaker.stdout.split('tick').length
  const before = had()
  await speaker.until(() => had() >= before + count || undefined)
}

/** The last number that was heard. */
export const last = (program: Program) => Number(program.stdout.trim().split('\n').at(-1) || 0)
