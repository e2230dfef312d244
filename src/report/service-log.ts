import { pino } from 'pino'

/** What the service says of itself, to standard error: journald keeps it, or a terminal shows it. */
export type ServiceLog = pino.Logger

/** On a terminal one readable line each; elsewhere JSON, as the block log. */
export function createServiceLog(level: string): ServiceLog {
  const destination = pino.destination({ dest: 2, sync: true })
  if (!process.stderr.isTTY) {
    return pino(
      {
        level,
        base: { 'event.module': 'checkvalve' },
        messageKey: 'message',
        timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ 'log.level': label }) },
      },
      destination,
    )
  }
  return pino(
    { level, base: null, messageKey: 'message' },
    { write: (line) => destination.write(plain(line)) },
  )
}

function plain(line: string): string {
  const { level, message } = JSON.parse(line) as { level: number; message: string }
  return `checkvalve: ${level >= 50 ? 'ERROR ' : level >= 40 ? 'warning: ' : ''}${message}\n`
}
