/**
 * transfers HOST PORT SECONDS CLIENTS: keeps a web server busy in three ways at once, over IPv4 or IPv6.
 *
 *     one download, read slowly    CLIENTS keep-alive connections, each with a request every 200 ms
 *     one upload, sent slowly
 *
 * Prints {"under way": true} when all have begun, and after SECONDS the result of each.
 */
import { Agent, get, type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { numberArgument, say } from '../../lab/programs/say.js'

const host = process.argv[2]!
const [port, seconds, clients] = [numberArgument(1), numberArgument(2), numberArgument(3)]
const STEP_MS = 50
const steps = (seconds * 1000) / STEP_MS
const DOWNLOAD_STEP = 256 * 1024
const UPLOAD_STEP = 4 * 1024

const pages = { answered: 0, failed: [] as string[], connections: 0 }

/** Fetches the page. @returns 'whole', or the error */
function page(agent: Agent): Promise<string> {
  return new Promise((done) => {
    const asked = get({ host, port, path: '/', agent, timeout: 20_000 }, (response) => {
      response.on('error', (error) => done(error.message)).resume()
      response.on('close', () => done(response.complete ? 'whole' : 'cut off'))
    })
    asked.on('socket', () => {
      if (!asked.reusedSocket) pages.connections++
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
    asked.on('error', (error) => done(error.message))
  })
}

/** Runs a client that keeps its connection. A second connection would be counted. */
async function visit(until: number, begun: () => void): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  while (Date.now() < until) {
    const outcome = await page(agent)
    if (outcome === 'whole') pages.answered++
    else pages.failed.push(outcome)
    begun()
    await sleep(200)
  }
  agent.destroy()
}

/** Reads slowly, so that the server has more to send all the time. */
async function download(begun: () => void): Promise<string> {
  const bytes = steps * DOWNLOAD_STEP
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    get({ host, port, path: `/large?bytes=${bytes}` }, resolve).on('error', reject),
  )
  let received = 0
  let allowed = DOWNLOAD_STEP
  begun()
  const pace = setInterval(() => {
    allowed += DOWNLOAD_STEP
  }, STEP_MS)
  try {
    for await (const chunk of response) {
      received += (chunk as Buffer).length
      while (received > allowed) await sleep(STEP_MS / 2)
    }
  } finally {
    clearInterval(pace)
  }
  return received === bytes ? 'whole' : `${received} of ${bytes}`
}

async function upload(begun: () => void): Promise<string> {
  const sent = request({ host, port, path: '/upload', method: 'POST' })
  const answer = new Promise<IncomingMessage>((resolve, reject) =>
    sent.on('response', resolve).on('error', reject),
  )
  answer.catch(() => {})
  for (let step = 0; step < steps; step++) {
    sent.write(Buffer.alloc(UPLOAD_STEP, 'x'))
    await sleep(STEP_MS)
    if (step === 1) begun()
  }
  sent.end()
  let text = ''
  for await (const chunk of await answer) text += chunk
  const { received } = JSON.parse(text) as { received: number }
  return received === steps * UPLOAD_STEP ? 'whole' : `${received} of ${steps * UPLOAD_STEP}`
}

const outcome = (work: Promise<string>) => work.catch((error: Error) => error.message)

let waiting = clients + 2
const begun = () => {
  if (--waiting === 0) say({ 'under way': true })
}
const once = (call: () => void) => {
  let called = false
  return () => {
    if (!called) call()
    called = true
  }
}
const until = Date.now() + seconds * 1000
const [downloaded, uploaded] = await Promise.all([
  outcome(download(once(begun))),
  outcome(upload(once(begun))),
  ...Array.from({ length: clients }, () => visit(until, once(begun))),
])
say({ downloaded, uploaded, pages })
