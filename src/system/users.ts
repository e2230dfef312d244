/** User names and user ids: /etc/passwd first, then what the host's name services know (LDAP, systemd). */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The uid of a user name or of a number in text; undefined when there is no such user. */
export type UserLookup = (name: string) => number | undefined

export interface Users {
  /** May run `getent` and wait for it: for configuration time, never for the packet path. */
  readonly idOf: UserLookup
  /** Only from memory. undefined: nobody has named this uid yet. */
  readonly nameOf: (uid: number) => string | undefined
}

/** (uid_t)-1 means "no user" in the kernel (include/linux/uidgid.h, INVALID_UID). */
const INVALID_UID = 0xffffffff

const GETENT_TIMEOUT_MS = 3000

/**
 * A view of the host's users. /etc/passwd is read once, here: make a new one to see changes.
 * `passwd` and `getent` are for tests; `getent` returns one passwd(5) line or undefined.
 */
export function createUsers(
  options: { passwd?: string; getent?: (name: string) => string | undefined } = {},
): Users {
  const { passwd = '/etc/passwd', getent = runGetent } = options
  const ids = new Map<string, number>()
  const names = new Map<number, string>()
  const learn = (line: string): void => {
    const user = parsePasswdLine(line)
    if (user === undefined) return
    if (!ids.has(user.name)) ids.set(user.name, user.uid)
    if (!names.has(user.uid)) names.set(user.uid, user.name)
  }
  for (const line of readLines(passwd)) learn(line)
  const idOf = (name: string): number | undefined => {
    if (/^\d+$/.test(name)) return validUid(Number(name))
    if (!ids.has(name) && isSafeName(name)) learn(getent(name) ?? '')
    return ids.get(name)
  }
  return { idOf, nameOf: (uid) => names.get(uid) }
}

/** passwd(5): name:password:uid:gid:comment:home:shell. */
function parsePasswdLine(line: string): { name: string; uid: number } | undefined {
  const [name, , text] = line.split(':')
  if (!name || text === undefined || !/^\d+$/.test(text)) return undefined
  const uid = validUid(Number(text))
  return uid === undefined ? undefined : { name, uid }
}

function validUid(uid: number): number | undefined {
  return uid < INVALID_UID ? uid : undefined
}

/** A name that cannot be an option of getent, nor break a passwd line. Directory services allow most else. */
function isSafeName(name: string): boolean {
  return /^[^-:\s\p{Cc}][^:\s\p{Cc}]{0,255}$/u.test(name)
}

/** A host without /etc/passwd still has numeric ids. */
function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

/** getent exits with 2 for an unknown name; it may be missing, or its directory server may be away. */
function runGetent(name: string): string | undefined {
  try {
    const output = execFileSync('getent', ['passwd', name], {
      encoding: 'utf8',
      timeout: GETENT_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return output.split('\n')[0]
  } catch {
    return undefined
  }
}

/** The service looks names up itself. */
export const OWN_UID = process.geteuid!()
