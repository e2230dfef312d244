import { writeSync } from 'node:fs'
import { pino } from 'pino'
import { ECS } from '../text/ecs.js'
import { terminalSafeField, terminalSafeFields } from '../text/terminal-safe.js'

/**
 * The log of the service's own messages, on standard error: journald keeps them, or a terminal shows them.
 */
export type ServiceLog = pino.Logger

/**
 * Creates the log. Messages are readable lines on a terminal, and JSON elsewhere, like the block log. No line
 * controls a terminal, printed as it is or field by field (jq -r): paths, names and errors may be strangers'.
 */
export function createServiceLog(level: string): ServiceLog {
  if (!process.stderr.isTTY) return pino({ ...ECS, level, hooks: { logMethod: safely } }, { write: toStderr })
  return pino({ level, base: null, messageKey: 'message' }, { write: (line) => toStderr(plain(line)) })
}

/** Logs with safe texts: what a call has is a message, or fields and a message. */
function safely(this: pino.Logger, texts: Parameters<pino.LogFn>, log: pino.LogFn): void {
  log.apply(this, terminalSafeFields(texts))
}

/**
 * Writes a line. A line that cannot be written (its reader is gone, a disk is full) is lost; the service goes
 * on.
 */
function toStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // There is no other place for this error.
  }
}

function plain(line: string): string {
  const { level, message } = JSON.parse(line) as { level: number; message: string }
  const text = terminalSafeField(message)
  return `checkvalve: ${level >= 50 ? 'ERROR ' : level >= 40 ? 'warning: ' : ''}${text}\n`
}
