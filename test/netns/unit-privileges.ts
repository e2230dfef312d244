/** Gives a service in the lab the privileges that it has as a unit. */
import { chownSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { idsOf } from '../lab/users.js'
import type { Service } from './service.js'

const UNIT = fileURLToPath(new URL('../../../systemd/checkvalve.service', import.meta.url))

/** Lets a service run as a user with the capabilities of the shipped unit, and gives that user its folder. */
export function runAs(service: Service, user: string): void {
  const { uid, gid } = idsOf(user)
  chownSync(service.folder, +uid, +gid)
  const names = /^AmbientCapabilities=(.*)$/m.exec(readFileSync(UNIT, 'utf8'))![1]!.split(' ')
  const all = ['-all', ...names.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`)].join()
  const capabilities = ['inh-caps', 'ambient-caps', 'bounding-set'].map((which) => `--${which}=${all}`)
  service.through = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...capabilities]
}
