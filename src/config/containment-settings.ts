/** The settings of tripwire and quarantine. */
import type { Settings } from './setting-table.js'

export const containment = {
  destinations: {
    doc: 'Blocked destinations of one user within the window that raise an alert',
    format: 'count',
    min: 1,
    max: 100_000,
    default: 10,
    env: 'CHECKVALVE_CONTAINMENT_DESTINATIONS',
  },
  window: {
    doc: 'The window in which they are counted',
    format: 'duration',
    min: '1s',
    max: '1d',
    default: '10s',
    env: 'CHECKVALVE_CONTAINMENT_WINDOW',
  },
  action: {
    doc: "alert: report the user; quarantine: also refuse all of the user's new connections for a while",
    format: 'choice',
    words: ['alert', 'quarantine'],
    default: 'alert',
    env: 'CHECKVALVE_CONTAINMENT_ACTION',
  },
  duration: {
    doc: 'How long a quarantine lasts',
    format: 'duration',
    min: '1s',
    max: '30d',
    default: '15m',
    env: 'CHECKVALVE_CONTAINMENT_DURATION',
  },
  contain: {
    doc: 'new: a quarantine refuses new connections; all: also those that an entry of allow had approved',
    format: 'choice',
    words: ['new', 'all'],
    default: 'new',
    env: 'CHECKVALVE_CONTAINMENT_CONTAIN',
  },
  users: {
    doc: 'Users who are quarantined, too, although they are root, update the host, or resolve names for it',
    format: 'user-list',
    default: [],
    env: 'CHECKVALVE_CONTAINMENT_USERS',
  },
} as const satisfies Settings
