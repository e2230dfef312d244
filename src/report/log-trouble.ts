/** What the operator is told of a block log that cannot be written. */
import { dirname } from 'node:path'

const META = 'verdicts go on, and lines wait in memory, 4 MiB of them'

/** What is wrong, and what to do. */
export function troubleText(destination: string, error: NodeJS.ErrnoException): string {
  return `the block log ${destination} cannot be written: ${error.message}; ${META}: ${advice(destination, error)}`
}

export function recoveryText(destination: string, lost: number): string {
  const loss =
    lost === 0 ? 'no line is lost' : `${lost} lines were lost meanwhile, their blocks are summed in one`
  return `the block log ${destination} is written again: ${loss}`
}

/** What was lost at the end. */
export const lossText = (destination: string, lost: number): string =>
  `the block log ${destination} could not be written to the end: ${lost} lines are lost`

function advice(destination: string, { code }: NodeJS.ErrnoException): string {
  if (destination === 'stdout') return 'see whether the program that reads standard output still runs'
  const folder = dirname(destination)
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return `make room there (df -h ${folder}); nothing need be restarted`
    case 'EROFS':
      return `its file system is read-only, dmesg may say why; mount it for writing (mount -o remount,rw ...)`
    case 'EACCES':
    case 'EPERM':
      return `let the service's user write in ${folder}`
    case 'ETIMEDOUT':
      return `its disk hangs, dmesg may say why`
    default:
      return `see ls -ld ${folder}; if need be, make it anew for the service's user`
  }
}
