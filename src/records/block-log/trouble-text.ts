/** Makes the messages for the operator about a block log that cannot be written. */
import { dirname } from 'node:path'

/** Says what is wrong, and what to do. */
export const troubleText = (destination: string, error: NodeJS.ErrnoException): string =>
  `the block log ${nameOf(destination)} cannot be written: ${error.message}; ` +
  `verdicts go on, and lines wait in memory, 4 MiB of them: ${advice(destination, error)}`

/** Says why the service does not start. */
export function startText({ code, message }: NodeJS.ErrnoException): string {
  const advice = code === 'ELOOP' ? LINK : 'let this user write there, or set log.destination'
  return `the block log cannot be written (${message}): ${advice}`
}

/** Says that the log can be written again. @param lost number of lost lines */
export function recoveryText(destination: string, lost: number): string {
  const loss = lost === 0 ? 'no line is lost' : `${lost} lines are lost, their blocks are counted in one line`
  return `the block log ${nameOf(destination)} is written again: ${loss}`
}

/** Says what is lost at the end of the service. @param lost number of lost lines */
export const lossText = (destination: string, lost: number): string =>
  `the block log ${nameOf(destination)} could not be written to the end: ${lost} lines are lost`

const nameOf = (destination: string) => (destination === 'stdout' ? 'on standard output' : destination)

const LINK =
  'a symbolic link is there, and is not followed: remove it, or set log.destination to the file that is meant'

function advice(destination: string, { code }: NodeJS.ErrnoException): string {
  if (destination === 'stdout') return 'check that the program that reads it still runs'
  const folder = dirname(destination)
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return `make room there (df -h ${folder})`
    case 'EROFS':
      return 'its file system is read-only, and dmesg may say why; when it is well, mount -o remount,rw'
    case 'ELOOP':
      return LINK
    case 'EACCES':
    case 'EPERM':
      return `let the service's user write in ${folder}`
    case 'ETIMEDOUT':
      return 'its disk hangs, and dmesg may say why'
    default:
      return `see ls -ld ${folder}, and dmesg`
  }
}
