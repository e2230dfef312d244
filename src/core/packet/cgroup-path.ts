/** Reads systemd units and containers from the path of a cgroup (v2). */

/** The unit of the host's own systemd and the container that the processes of a cgroup belong to. */
export interface CgroupOwner {
  /** The unit: `nginx.service`, `session-3.scope`, `user@1000.service`; undefined when there is none. */
  readonly unit: string | undefined
  /** The slices around the unit, the outermost first. */
  readonly slices: readonly string[]
  /** The id of the container, as its runtime writes it; undefined when there is none. */
  readonly container: string | undefined
}

/** The name that container runtimes give a cgroup: 64 hex digits with a prefix (`docker-`) and a unit type. */
const CONTAINER = /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/
/** The name that LXC gives a cgroup: lxc.payload.NAME. Containers of systemd-nspawn are units. */
const LXC = /^lxc\.payload\.(.+)$/
/** The types of units that have processes, or units with processes (systemd.unit(5)). */
const TYPE = '\\.(?:service|scope|slice|socket|mount|swap)$'
const UNIT = new RegExp(TYPE)
const UNIT_NAME = new RegExp(`^[\\w:.\\\\@-]{1,240}${TYPE}`)

/** Whether a text is the name of a unit that can have processes: it ends with the type of such a unit. */
export const isUnitName = (text: string): boolean => UNIT_NAME.test(text)

/**
 * Reads a path below the root of the hierarchy. The unit is the first part that is not a slice. The parts
 * below it prove nothing: a service, or a user with a delegated subtree (`user@1000.service`), names its own
 * cgroups freely.
 */
export function ownerOf(path: string): CgroupOwner {
  const parts = path.split('/').filter((part) => part !== '')
  const first = parts.findIndex((part) => !part.endsWith('.slice'))
  const slices = (first === -1 ? parts : parts.slice(0, first)).map(unescaped)
  const name = first === -1 ? undefined : unescaped(parts[first]!)
  return {
    unit: name !== undefined && UNIT.test(name) ? name : undefined,
    slices,
    container: containerOf(first === -1 ? [] : parts.slice(first)),
  }
}

/** Returns the path of the unit that a cgroup belongs to: the slices around it, and its own name. */
export const unitPathOf = (path: string, { unit, slices }: CgroupOwner): string | undefined =>
  unit === undefined
    ? undefined
    : `/${path
        .split('/')
        .filter((part) => part !== '')
        .slice(0, slices.length + 1)
        .join('/')}`

/** Whether processes with this owner are in one of these units or slices. */
export const isIn = ({ unit, slices }: CgroupOwner, units: readonly string[]): boolean =>
  units.some((name) => name === unit || slices.includes(name))

function containerOf(parts: readonly string[]): string | undefined {
  for (const part of parts) {
    const found = CONTAINER.exec(part) ?? LXC.exec(part)
    if (found) return found[1]
  }
  return undefined
}

/** Removes the `_` that systemd puts before names which could be kernel files (cg_escape in cgroup-util.c). */
const unescaped = (part: string) => (part.startsWith('_') ? part.slice(1) : part)
