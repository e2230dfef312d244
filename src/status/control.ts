/** The socket by which commands speak with the running service: HTTP, JSON, for whoever may write to its file. */
import { chmodSync, unlinkSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { makeFolder } from '../folder.js'
import { TIMEOUTS } from '../http-timeouts.js'
import type { Status } from './status.js'

const MODE = 0o660
const STATUS = '/v1/status'
const CONNECTIONS_AT_MOST = 16
const ANSWER_MS = 5000

/**
 * Answers at a path of the file system. A socket that nobody listens on any more is replaced.
 * @throws Error (rejects) with a message for the operator
 */
export async function serveControl(path: string, status: () => Status): Promise<Server> {
  const server = createServer(TIMEOUTS, ({ method, url }, response) => {
    const good = method === 'GET' && url === STATUS
    const body = good ? status() : { error: `no such request; there is GET ${STATUS}` }
    response.writeHead(good ? 200 : 404, { 'Content-Type': 'application/json' })
    response.end(`${JSON.stringify(body)}\n`)
  })
  server.maxConnections = CONNECTIONS_AT_MOST
  try {
    makeFolder(dirname(path))
    await takePlace(path)
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, () => resolve()))
    chmodSync(path, MODE)
    return server
  } catch (error) {
    throw new Error(`no control socket at ${path} (${(error as Error).message}): set control.socket`)
  }
}

/** What a service has left behind that was killed. */
async function takePlace(path: string): Promise<void> {
  const code = await reach(path)
  if (code === undefined) throw new Error('another service listens there')
  if (code === 'ECONNREFUSED') unlinkSync(path)
}

/** The code of the error, if there is one. */
const reach = (path: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect(path, () => resolve(undefined))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    socket.once('connect', () => socket.destroy())
  })

/** Asks the running service. @throws Error (rejects) with a message for the operator */
export async function askStatus(path: string): Promise<Status> {
  try {
    return JSON.parse(await get(path, STATUS)) as Status
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED')
      throw new Error(
        `the service does not run here (nobody listens on ${path}): start it, or set control.socket`,
      )
    if (code === 'EACCES') throw new Error(`${path} may not be opened: be root, or a member of its group`)
    throw new Error(`the service does not answer on ${path}: ${message}`)
  }
}

const get = (socketPath: string, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: ANSWER_MS }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.once('end', () =>
        response.statusCode === 200
          ? resolve(body)
          : reject(new Error(`${response.statusCode} ${body.trim()}`)),
      )
      response.once('error', reject)
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.once('error', reject).end()
  })
