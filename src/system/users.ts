/** Looks up users by name and uid: in /etc/passwd first, then in the host's name services (LDAP, systemd). */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Returns the uid of a user name, or of a uid in text. Returns undefined when there is no such user. */
export type UserLookup = (name: string) => number | undefined

export interface Users {
  /** May run `getent` and wait for it: only for the time of configuration, never for the packet path. */
  readonly idOf: UserLookup
  /** Looks in memory only. Returns undefined when no look-up has brought this uid yet. */
  readonly nameOf: (uid: number) => string | undefined
}

/** (uid_t)-1 means "no user" in the kernel (include/linux/uidgid.h, INVALID_UID). */
const INVALID_UID = 0xffffffff

const GETENT_TIMEOUT_MS = 3000

/**
 * Reads /etc/passwd once, and returns the users of this host. To see changes, create them again.
 * @param options `passwd` and `getent` are for tests; `getent` returns one passwd(5) line or undefined
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

/** Parses a line of passwd(5): name:password:uid:gid:comment:home:shell. */
function parsePasswdLine(line: string): { name: string; uid: number } | undefined {
  const [name, , text] = line.split(':')
  if (!name || text === undefined || !/^\d+$/.test(text)) return undefined
  const uid = validUid(Number(text))
  return uid === undefined ? undefined : { name, uid }
}

function validUid(uid: number): number | undefined {
  return uid < INVALID_UID ? uid : undefined
}

/**
 * Refuses names that would be an option of getent or break a passwd line. Directory services allow most
 * others.
 */
function isSafeName(name: string): boolean {
  return /^[^-:\s\p{Cc}][^:\s\p{Cc}]{0,255}$/u.test(name)
}

/**
 * Reads the lines of a file. Returns none where it cannot be read: a host without /etc/passwd still has
 * numeric uids.
 */
function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return []
  }
}

/**
 * Runs getent, which exits with 2 for an unknown name. It may be missing, or its directory server may not
 * answer.
 */
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

export const ROOT_UID = 0

/** The uid of this process, which sends DNS queries itself. */
export const OWN_UID = process.geteuid!()
