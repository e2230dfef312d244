/** Sends requests of commands to the running service. */
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import type { FieldProblem, RefusalCode, Route } from './router.js'

/** Time limits of requests. Changes wait for other changes, for look-ups of names, and for the kernel. */
const ANSWER_MS = { GET: 5000, POST: 60_000, PUT: 60_000, DELETE: 60_000 } as const

/** The service refused the request. The message is for the operator. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    /** The reason, for programs. Undefined when the service is of an older version. */
    readonly code: RefusalCode | undefined,
    message: string,
    /** The values that are wrong (status 400). */
    readonly problems: readonly FieldProblem[],
  ) {
    super(message)
  }
}

/**
 * Nobody listens on the socket: the service does not run, or uses another socket. Not thrown when the socket
 * may not be opened.
 */
export class Absent extends Error {}

/**
 * Sends a request to the running service.
 * @param path path and query: `/v1/status`
 * @param body sent as JSON
 * @returns the answer, parsed from JSON
 * @throws Refused, Absent, or Error when there is no answer (rejects), with a message for the operator
 */
export async function ask<T>(
  socket: string,
  method: Route['method'],
  path: string,
  body?: unknown,
): Promise<T> {
  const { status, value } = await exchange(socket, method, path, body).catch((error: Error) => {
    throw explained(error, socket)
  })
  if (status === 200) return value as T
  const { code, error, problems } = value as { code?: RefusalCode; error?: string; problems?: FieldProblem[] }
  throw new Refused(status, code, error ?? `the service answers with status ${status}`, problems ?? [])
}

function explained({ code, message }: NodeJS.ErrnoException, socket: string): Error {
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return new Absent(
      `the service does not run here (nobody listens on ${socket}): systemctl start checkvalve, or set control.socket`,
    )
  if (code === 'EACCES') return new Error(`${socket} may not be opened: be root, or a member of its group`)
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return new Error(`the service on ${socket} is stopping, or has too many requests: try again`)
  return new Error(
    `the service does not answer on ${socket} (${message}): see journalctl -u checkvalve, or restart it`,
  )
}

interface Exchange {
  readonly status: number
  readonly value: unknown
}

async function exchange(
  socketPath: string,
  method: Route['method'],
  path: string,
  body: unknown,
): Promise<Exchange> {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' }
  const signal = AbortSignal.timeout(ANSWER_MS[method])
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers, signal, agent: false }, resolve)
    asked.once('error', (error) => reject(signal.aborted ? new Error('no answer in time') : error))
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
  return { status: response.statusCode!, value: await json(response) }
}
