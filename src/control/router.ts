/** Finds the route of a request, and makes its answer. It knows nothing of sockets. */
import { type Format, locationOf } from '../config/location.js'
import { type Problem, quote } from '../config/problems.js'
import { PolicyRefusal, type PolicyRefusalCode } from '../policy/refusal.js'

export interface ControlRequest {
  /** Parameters after the `?`. */
  readonly query: Readonly<Record<string, string>>
  /** Parsed from JSON; undefined when the request had no body. */
  readonly body: unknown
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path with the version: `/v1/status`. */
  readonly path: string
  /**
   * @returns the answer, or a promise of it, to be sent as JSON; never undefined
   * @throws Refusal (rejects)
   */
  handle(request: ControlRequest): unknown
}

/** A wrong value in a request. `key` is written as in the configuration (`to[1]`). */
export type FieldProblem = Pick<Problem, 'key' | 'reason'>

/** The HTTP status of each refusal, by its code. Programs may rely on the codes; the texts may change. */
const STATUS = {
  'invalid-request': 400,
  'malformed-http': 400,
  'unknown-path': 404,
  'method-not-allowed': 405,
  'request-timeout': 408,
  'body-too-large': 413,
  'not-json': 415,
  'headers-too-large': 431,
  'internal-error': 500,
  starting: 503,
  stopping: 503,
  'configured-rule': 409,
  'entry-exists': 409,
  'unknown-entry': 404,
  'not-quarantined': 404,
  'too-many-entries': 409,
  'entries-too-large': 409,
} as const satisfies Readonly<Record<PolicyRefusalCode | string, number>>

/** The reason of a refusal. It is stable, for programs. */
export type RefusalCode = keyof typeof STATUS

export const statusOf = (code: RefusalCode): number => STATUS[code]

/** Refuses a request. The message is for the operator. */
export class Refusal extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly problems: readonly FieldProblem[] = [],
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
  }

  get status(): number {
    return statusOf(this.code)
  }
}

/** A request as it was received. */
export interface RawRequest {
  readonly method: string
  /** Path and query. */
  readonly url: string
  /** The header Content-Type. */
  readonly type: string | undefined
  readonly text: string
}

/** Answers a request. @returns the result of the route's `handle` @throws Refusal (rejects) */
export async function answer(routes: readonly Route[], asked: RawRequest): Promise<unknown> {
  const [path = '', ...query] = asked.url.split('?')
  const route = find(routes, asked.method, path)
  try {
    return await route.handle({ query: queryOf(query.join('?')), body: bodyOf(asked) })
  } catch (error) {
    throw error instanceof PolicyRefusal ? new Refusal(error.code, error.message) : error
  }
}

/** Finds the route of a request. @throws Refusal for an unknown path or method */
export function find(routes: readonly Route[], method: string, path: string): Route {
  const there = routes.filter((route) => route.path === path)
  const found = there.find((route) => route.method === method)
  if (found !== undefined) return found
  if (there.length === 0) {
    const all = routes.map((route) => `${route.method} ${route.path}`).join(', ')
    throw new Refusal('unknown-path', `there is no path ${quote(path)}; there are ${all}`)
  }
  const allowed = there.map((route) => route.method).join(', ')
  throw new Refusal('method-not-allowed', `${path} takes ${allowed}, not ${quote(method)}`, [], {
    Allow: allowed,
  })
}

/** Reads a query or a body by a format of the configuration. @throws Refusal that names each wrong value */
export function read<T>(format: Format<T>, value: unknown): T {
  const problems: Problem[] = []
  const place = locationOf({ origin: { file: 'request', line: undefined }, key: '' }, problems)
  const parsed = format(value, place)
  if (parsed !== undefined && problems.length === 0) return parsed
  const found = problems.map(({ key, reason }) => ({ key, reason }))
  throw new Refusal('invalid-request', found.map(problemText).join('; '), found)
}

const problemText = ({ key, reason }: FieldProblem) =>
  key === '' ? `the request ${reason}` : `${key}: ${reason}`

function queryOf(text: string): Record<string, string> {
  const query: Record<string, string> = Object.create(null)
  for (const [key, value] of new URLSearchParams(text)) {
    if (key in query) throw new Refusal('invalid-request', `${quote(key)} is given twice`)
    query[key] = value
  }
  return query
}

function bodyOf({ text, type }: RawRequest): unknown {
  if (text === '') return undefined
  if (!/^application\/json *(;|$)/i.test(type ?? ''))
    throw new Refusal('not-json', 'the body must be JSON: send it with Content-Type: application/json')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Refusal('invalid-request', `the body is no JSON: ${(error as Error).message}`)
  }
}
