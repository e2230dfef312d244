import type { LoggerOptions } from 'pino'

/** pino's settings for lines with the names of the Elastic Common Schema; both logs of the service have them. */
export const ECS: LoggerOptions = {
  base: { 'event.module': 'checkvalve' },
  messageKey: 'message',
  timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
  formatters: { level: (label) => ({ 'log.level': label }) },
}
