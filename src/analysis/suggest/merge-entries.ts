/** Merges entries into as few as possible that allow exactly the same. */

const SIDES = ['place', 'port', 'user', 'unit'] as const
type Side = (typeof SIDES)[number]

/**
 * An entry: it allows each of its users, in each of its units, to reach each of its places at each of its
 * ports.
 */
export interface Box<T> extends Readonly<Record<Side, readonly string[]>> {
  /** Other properties. Only boxes of the same kind are joined. */
  readonly kind: string
  /** The parts of the box: see `partsOf`. */
  readonly from: T | readonly Box<T>[]
}

/** Returns all parts of a box, in order. */
export function partsOf<T>({ from }: Box<T>): T[] {
  return Array.isArray(from) ? from.flatMap(partsOf<T>) : [from as T]
}

/**
 * Joins boxes that differ in one side only: the result is a box again, and has no combination that was not in
 * one of them. The order of sides changes the result; the best of all orders is returned.
 */
export function join<T>(boxes: readonly Box<T>[], sides: readonly Side[] = SIDES): readonly Box<T>[] {
  if (sides.length === 0 || boxes.length < 2) return boxes
  const results = sides.map((side) =>
    join(
      joinAlong(boxes, side),
      sides.filter((other) => other !== side),
    ),
  )
  return results.reduce((best, each) => (each.length < best.length ? each : best))
}

function joinAlong<T>(boxes: readonly Box<T>[], side: Side): Box<T>[] {
  const alike = new Map<string, Box<T>[]>()
  for (const box of boxes) {
    const key = keyWithout(box, side)
    const others = alike.get(key)
    if (others === undefined) alike.set(key, [box])
    else others.push(box)
  }
  return [...alike.values()].map((group) => (group.length === 1 ? group[0]! : union(group, side)))
}

function union<T>(boxes: readonly Box<T>[], side: Side): Box<T> {
  const members = [...new Set(boxes.flatMap((box) => box[side]))].sort()
  return { ...boxes[0]!, [side]: members, from: boxes }
}

/** Makes a key of all sides but one. A box for any unit is not joined with boxes for known units. */
function keyWithout<T>(box: Box<T>, side: Side): string {
  let key = box.kind
  for (const each of SIDES) {
    const members = box[each]
    if (each !== side) key += `\n${members.length === 1 ? members[0] : members.join('\t')}`
    else if (each === 'unit') key += members[0] === ANY ? '\nany' : '\nknown'
  }
  return key
}

export const ANY = ''
