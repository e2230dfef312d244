import type { Inbound } from './client-replies.js'
import { noServices } from './services.js'

/** Returns the state of a host without clients. */
export const noClients = (): Inbound => ({
  sessions: { silence: () => Number.POSITIVE_INFINITY, seen: () => {}, remove: () => false },
  opened: { silence: () => Number.POSITIVE_INFINITY, seen: () => {}, size: 0 },
  services: noServices(),
  callbacks: { allow: () => false, mayAllow: () => false, seen: () => {} },
  lookUp: () => 'none',
  listens: () => false,
  now: 0,
})
