import type { LoggerOptions } from 'pino'

/**
 * Options of pino for the field names of the Elastic Common Schema. The block log and the service log use
 * them.
 */
export const ECS: LoggerOptions = {
  base: { 'event.module': 'checkvalve' },
  messageKey: 'message',
  timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
  formatters: { level: (label) => ({ 'log.level': label }) },
}
