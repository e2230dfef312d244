import type { AllowEntry } from '../../src/config/config.js'

/** Makes an entry by which every user may reach a name. */
export const entry = (name: string, more: Partial<AllowEntry> = {}): AllowEntry => ({
  name,
  to: [{ kind: 'name', name: 'api.example.org' }],
  ports: [{ first: 443, last: 443 }],
  protocol: 'tcp',
  users: undefined,
  units: undefined,
  expires: undefined,
  origin: { file: 'runtime entry', line: undefined },
  ...more,
})
