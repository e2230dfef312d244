/** What the path of a cgroup (v2) tells of those who are in it. */

/** Where processes belong: to a unit of the host's own systemd, to a container, or to neither. */
export interface CgroupOwner {
  /** The unit, in which every process below it is: `nginx.service`, `session-3.scope`, `user@1000.service`. */
  readonly unit: string | undefined
  /** The slices that the unit is in, the outermost first. */
  readonly slices: readonly string[]
  /** The id of the container, as long as its runtime writes it. */
  readonly container: string | undefined
}

/** Container runtimes name a cgroup by 64 hex digits, with words before and a type behind. */
const CONTAINER = /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/
/** LXC's: lxc.payload.NAME; systemd-nspawn's are units of their own. */
const LXC = /^lxc\.payload\.(.+)$/
/** The types of units that have processes (systemd.unit(5)). */
const TYPE = '\\.(?:service|scope|slice|socket|mount|swap)$'
const UNIT = new RegExp(TYPE)
const UNIT_NAME = new RegExp(`^[\\w:.\\\\@-]{1,240}${TYPE}`)

/** Whether a text is the name of a unit that can have processes: a name with such a type behind the last dot. */
export const isUnitName = (text: string): boolean => UNIT_NAME.test(text)

/**
 * Reads a path below the root of the hierarchy. The unit is the first that is no slice: below it a service, or a user to
 * whom a part of the tree is handed over (`user@1000.service`), may name its cgroups as it likes.
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

/** Whether the place is in one of these units or slices. */
export const isIn = ({ unit, slices }: CgroupOwner, units: readonly string[]): boolean =>
  units.some((each) => each === unit || slices.includes(each))

function containerOf(parts: readonly string[]): string | undefined {
  for (const part of parts) {
    const found = CONTAINER.exec(part) ?? LXC.exec(part)
    if (found) return found[1]
  }
  return undefined
}

/** systemd puts a `_` before names that the kernel could take for files of its own (src/basic/cgroup-util.c: cg_escape). */
const unescaped = (part: string) => (part.startsWith('_') ? part.slice(1) : part)
