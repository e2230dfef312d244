import { writeSync } from 'node:fs'
import { pino } from 'pino'
import { ECS } from '../text/ecs.js'
import { terminalSafe } from '../text/terminal-safe.js'

/** What the service says of itself, to standard error: journald keeps it, or a terminal shows it. */
export type ServiceLog = pino.Logger

/** On a terminal one readable line each; elsewhere JSON, as the block log. */
export function createServiceLog(level: string): ServiceLog {
  if (!process.stderr.isTTY) return pino({ ...ECS, level }, { write: toStderr })
  return pino({ level, base: null, messageKey: 'message' }, { write: (line) => toStderr(plain(line)) })
}

/** A line that cannot be written (its reader is gone, a disk is full) is lost; the service goes on. */
function toStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // There is nowhere left to complain.
  }
}

function plain(line: string): string {
  const { level, message } = JSON.parse(line) as { level: number; message: string }
  const text = terminalSafe(message, Number.POSITIVE_INFINITY)
  return `checkvalve: ${level >= 50 ? 'ERROR ' : level >= 40 ? 'warning: ' : ''}${text}\n`
}
