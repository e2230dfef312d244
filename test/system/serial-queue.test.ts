import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { SerialQueue } from '../../src/system/serial-queue.js'

t.test('tasks run in turn, and a failure does not stop the next task', async (t) => {
  const turns = new SerialQueue()
  const steps: string[] = []
  const work = (name: string, ms: number) => async () => {
    steps.push(`${name} begins`)
    await sleep(ms)
    steps.push(`${name} ends`)
    if (name === 'bad') throw new Error('no')
    return name
  }
  const [slow, bad, fast] = [work('slow', 20), work('bad', 5), work('fast', 0)].map((each) => turns.run(each))
  await t.rejects(bad!, { message: 'no' })
  t.same(await Promise.all([slow, fast]), ['slow', 'fast'])
  t.same(steps, ['slow begins', 'slow ends', 'bad begins', 'bad ends', 'fast begins', 'fast ends'])
})
