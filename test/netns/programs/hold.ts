/** hold QUEUE: holds every packet of a queue until SIGUSR2, and then accepts them. */
import { HELD, NF_ACCEPT, Queue } from 'node-netfilter-queue'
import { numberArgument, say } from '../../lab/programs/say.js'

const held: number[] = []
const queue = await Queue.open({
  number: numberArgument(0),
  onPacket: (packet) => {
    held.push(packet.id)
    say({ held: held.length })
    return HELD
  },
  onError: () => NF_ACCEPT,
})
process.on('SIGUSR2', () => {
  for (const id of held.splice(0)) queue.release(id, NF_ACCEPT)
  say({ released: true })
})
say({ listening: true })
