/** Few entries that allow all that was seen, and nothing else. */

const SIDES = ['place', 'port', 'user', 'unit'] as const
type Side = (typeof SIDES)[number]

/** An entry allows each of its places, at each of its ports, to each of its users, in each of its units. */
export interface Box<T> extends Readonly<Record<Side, readonly string[]>> {
  /** What else must be the same in all of it. */
  readonly kind: string
  /** What it was made of: see `partsOf`. */
  readonly from: T | readonly Box<T>[]
}

/** All that a box was made of, in order. */
export function partsOf<T>({ from }: Box<T>): T[] {
  return Array.isArray(from) ? from.flatMap(partsOf<T>) : [from as T]
}

/**
 * Joins boxes that differ in one side only: the result is a box again, and no combination is in it that was not in one of
 * them. Which side comes first changes how far one gets; of all orders, the best counts.
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

/** No unit stands for any: that is joined with none that is one. */
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
