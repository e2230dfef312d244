/**
 * Reads the file that gives the pages TLS and passwords, in the format of Prometheus' own exporters
 * (web-configuration.md of prometheus/exporter-toolkit), so that one file serves them all. What this server does
 * not know is refused: a file that asks for protection must not be read as one that does not.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { SecureVersion } from 'node:tls'
import { parse } from 'yaml'
import { isMapping } from '../../text/json.js'

export interface TlsFiles {
  readonly cert: string
  readonly key: string
  /** Certificates of the authorities that clients must have a certificate of; undefined: they need none. */
  readonly clientCa: string | undefined
  readonly minVersion: SecureVersion
}

export interface WebConfig {
  readonly tls: TlsFiles | undefined
  /** bcrypt hashes by user; empty: no password is asked for. */
  readonly users: ReadonlyMap<string, string>
}

const VERSIONS: Readonly<Record<string, SecureVersion>> = { TLS12: 'TLSv1.2', TLS13: 'TLSv1.3' }
const CLIENTS = { none: 'NoClientCert', required: 'RequireAndVerifyClientCert' } as const
const TLS_KEYS = ['cert_file', 'key_file', 'client_auth_type', 'client_ca_file', 'min_version']
/** A hash of bcrypt, with its cost. */
const HASH = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/
/** A hash of a higher cost keeps a core busy for seconds. */
const HIGHEST_COST = 14

/** @throws Error with a message for the operator */
export function readWebConfig(path: string): WebConfig {
  try {
    return webConfigOf(parse(readFileSync(path, 'utf8')), dirname(path))
  } catch (error) {
    throw new Error(`metrics.webConfig: ${path}: ${(error as Error).message.split('\n', 1)[0]}`)
  }
}

function webConfigOf(value: unknown, folder: string): WebConfig {
  const all = mapping(value ?? {}, 'the file', ['tls_server_config', 'basic_auth_users'])
  const { tls_server_config: tls, basic_auth_users: users } = all
  return { tls: tls == null ? undefined : tlsOf(tls, folder), users: usersOf(users ?? {}) }
}

function tlsOf(value: unknown, folder: string): TlsFiles {
  const given = mapping(value, 'tls_server_config', TLS_KEYS)
  const file = (key: string): string => {
    const name = given[key]
    if (typeof name !== 'string' || name === '') throw new Error(`${key} is missing`)
    return readFileSync(resolve(folder, name), 'utf8')
  }
  const { client_auth_type: clients = CLIENTS.none, min_version: version = 'TLS12' } = given
  const minVersion = VERSIONS[`${version}`]
  if (minVersion === undefined) throw new Error(`min_version must be ${Object.keys(VERSIONS).join(' or ')}`)
  if (clients !== CLIENTS.none && clients !== CLIENTS.required)
    throw new Error(`client_auth_type must be ${CLIENTS.none} or ${CLIENTS.required}`)
  if (clients === CLIENTS.none && given.client_ca_file !== undefined)
    throw new Error(`client_ca_file needs client_auth_type: ${CLIENTS.required}`)
  const clientCa = clients === CLIENTS.required ? file('client_ca_file') : undefined
  return { cert: file('cert_file'), key: file('key_file'), clientCa, minVersion }
}

function usersOf(value: unknown): ReadonlyMap<string, string> {
  const users = Object.entries(mapping(value, 'basic_auth_users'))
  for (const [user, hash] of users) {
    const cost = typeof hash === 'string' ? HASH.exec(hash)?.[1] : undefined
    if (cost === undefined)
      throw new Error(`the password of ${user} is no hash of bcrypt (htpasswd -nB ${user})`)
    if (Number(cost) > HIGHEST_COST) throw new Error(`the hash of ${user} has a cost above ${HIGHEST_COST}`)
  }
  return new Map(users as [string, string][])
}

function mapping(value: unknown, what: string, known?: readonly string[]): Record<string, unknown> {
  if (!isMapping(value)) throw new Error(`${what} must be a mapping`)
  const unknown = Object.keys(value).find((key) => known?.includes(key) === false)
  if (unknown !== undefined) throw new Error(`${unknown} is not supported in ${what}`)
  return value
}
