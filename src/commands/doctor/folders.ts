/** Checks the folders that the service writes to: its log, and its state. */
import { accessSync, constants, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { entriesOf } from '../../kernel/proc/bounded-reads.js'
import { createUsers } from '../../system/users.js'
import { grouped } from '../../text/prose.js'
import { type DoctorContext, textOf } from './context.js'
import { type Finding, Findings } from './finding.js'
import { isRotated } from './logrotate.js'
import { mayOthersWrite, mayWrite, mayWriteFile, type Who, whoIs } from './write-access.js'

const MIB = 1024 * 1024
/** Free space below this, or below this share of the disk, is too little. */
const LITTLE = 100 * MIB
const LITTLE_SHARE = 0.05
/** A log above this size is not rotated as it should be. */
const LARGE = 1024 * MIB
const LOG_STOPS = 'blocks are not written, but counted as dropped (checkvalve_log_dropped_total)'

export function folders(subject: DoctorContext, root = '/'): Finding[] {
  return [...log(subject, root), ...state(subject)]
}

function log(subject: DoctorContext, root: string): Finding[] {
  const found = new Findings('log')
  const { destination } = subject.config.log
  if (destination === 'stdout') found.ok('it goes to standard output, and so to the journal')
  else if (folder(found, dirname(destination), 'log.destination', LOG_STOPS, subject)) {
    const file = statSync(destination, { throwIfNoEntry: false })
    const size = file?.size ?? 0
    const { name, who } = writer(subject)
    if (file && !mayWriteFile(file, who))
      found.fail(
        `${name} may not write to ${destination}`,
        `the service does not start: chown ${name} ${destination}`,
      )
    if (!isRotated(destination, logrotateFiles(root)))
      found.look(
        `nothing rotates ${destination}`,
        'install packaging/checkvalve.logrotate as /etc/logrotate.d/checkvalve (docs/log.md)',
      )
    if (size > LARGE)
      found.look(
        `${destination} has ${sizeText(size)}`,
        'rotate it: logrotate --force /etc/logrotate.d/checkvalve',
      )
    else found.ok(`${destination} has ${sizeText(size)}`)
  }
  return found.all
}

function state(subject: DoctorContext): Finding[] {
  const found = new Findings('state')
  const { directory } = subject.config.state
  const lost = 'the next start knows no addresses of mirrors, and judges approved connections again'
  if (!folder(found, directory, 'state.directory', lost, subject)) return found.all
  const text = textOf(join(directory, 'addresses.json'))
  if (text !== '' && !isJson(text))
    found.look(
      `${directory}/addresses.json cannot be read`,
      'it counts as empty: the service writes a new one',
    )
  const known = subject.known.names.size
  found.ok(`${directory}: ${known === 1 ? '1 name' : `${grouped(known)} names`} with addresses`)
  return found.all
}

/** @returns whether the service can write to the folder */
function folder(
  found: Findings,
  path: string,
  setting: string,
  lost: string,
  subject: DoctorContext,
): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    found.look(`${path} does not exist`, `make it, for the user of the service, or set ${setting}`)
    return false
  }
  const { name, who } = writer(subject)
  if (!stats.isDirectory()) found.fail(`${path} is no folder`, `set ${setting}`)
  else if (isReadOnly(path)) found.fail(`${path} is on a file system that is read-only`, lost)
  else if (!mayWrite(stats, who))
    found.fail(`${name} may not write to ${path}`, `chown ${name} ${path}: without that ${lost}`)
  else space(found, path, lost)
  if (stats.isDirectory() && mayOthersWrite(stats, who))
    found.look(
      `other users may write to ${path}`,
      `they can replace and read its files: chown ${name} ${path}; chmod g-w,o-w ${path}`,
    )
  return !found.all.some(({ grade }) => grade === 'fail')
}

/**
 * Finds the user who writes: that of the running service or of its unit, else the user checkvalve, else root.
 */
function writer({ process, unit }: DoctorContext): { name: string; who: Who } {
  const passwd = textOf('/etc/passwd')
  const who = (user: string) => whoIs(user, passwd, textOf('/etc/group'))
  const user = process ? String(process.uid) : unit?.get('User')
  const found = (user ? who(user) : who('checkvalve')) ?? { uid: Number(user ?? 0), gids: [] }
  return { name: createUsers().nameOf(found.uid) ?? String(found.uid), who: found }
}

function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

function space(found: Findings, path: string, lost: string): void {
  const { bavail, blocks, bsize, files, ffree } = statfsSync(path)
  const free = bavail * bsize
  // File systems without a fixed number of inodes report 0 of 0.
  if (free === 0 || (files > 0 && ffree === 0))
    found.fail(`the disk of ${path} is full${free === 0 ? '' : ' (no inodes)'}`, `make room: ${lost}`)
  else if (free < LITTLE || bavail < blocks * LITTLE_SHARE)
    found.look(`the disk of ${path} has ${sizeText(free)} left`, `make room: when it is full, ${lost}`)
}

const sizeText = (bytes: number) =>
  bytes < MIB ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.round(bytes / MIB)} MiB`

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Reads the files of logrotate. */
function logrotateFiles(root: string): string[] {
  const folder = join(root, 'etc/logrotate.d')
  const files = [...entriesOf(folder)].map(({ name }) => join(folder, name))
  return [join(root, 'etc/logrotate.conf'), ...files].map(textOf)
}
