/** hold QUEUE: holds every packet that comes to a queue, until SIGUSR2: then they go on. */
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
