/** Few entries that allow all that was seen, and nothing else. */

/** An entry allows each of its places, at each of its ports, to each of its users, in each of its units. */
export interface Box<T> {
  /** What else must be the same in all of it. */
  readonly kind: string
  readonly place: ReadonlySet<string>
  readonly port: ReadonlySet<number | undefined>
  readonly user: ReadonlySet<number>
  readonly unit: ReadonlySet<string | undefined>
  /** What it was made of. */
  readonly parts: readonly T[]
}

const SIDES = ['place', 'port', 'user', 'unit'] as const
type Side = (typeof SIDES)[number]

/**
 * Joins boxes that differ in one side only: the result is a box again, and no combination is in it that was not in one of
 * them. Which side comes first changes how far one gets; of all orders, the best counts.
 */
export function join<T>(boxes: readonly Box<T>[]): Box<T>[] {
  let best: Box<T>[] | undefined
  for (const order of orders(SIDES)) {
    const joined = order.reduce((left, side) => joinAlong(left, side), [...boxes])
    if (best === undefined || joined.length < best.length) best = joined
  }
  return best ?? []
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
  const members = new Set<unknown>(boxes.flatMap((box) => [...box[side]]))
  return { ...boxes[0]!, [side]: members, parts: boxes.flatMap(({ parts }) => parts) }
}

/** An entry names units, or none at all: those of whom the unit is not known are joined with none. */
function keyWithout<T>(box: Box<T>, side: Side): string {
  const others = SIDES.filter((each) => each !== side).map((each) => [...box[each]].map(String).sort())
  return JSON.stringify([box.kind, side === 'unit' ? box.unit.has(undefined) : false, ...others])
}

function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield []
  for (const [index, item] of items.entries())
    for (const rest of orders(items.toSpliced(index, 1))) yield [item, ...rest]
}
