import t from 'tap'
import { ANY, type Box, join, partsOf } from '../../../src/analysis/suggest/merge-entries.js'
import { seededRandom } from '../../core/random.js'

type Point = readonly [place: string, port: number, user: number, unit: string | undefined]

/** A part of a box is an object: a list would be read as a list of boxes. */
interface Part {
  readonly point: Point
}

const boxOf = ([place, port, user, unit]: Point): Box<Part> => ({
  kind: 'tcp',
  place: [place],
  port: [String(port)],
  user: [String(user)],
  unit: [unit ?? ANY],
  from: { point: [place, port, user, unit] },
})

/** Returns all combinations that a box allows. */
function pointsOf({ place, port, user, unit }: Box<Part>): string[] {
  const points: string[] = []
  for (const a of place)
    for (const b of port) for (const c of user) for (const d of unit) points.push([a, b, c, d].join())
  return points
}

const joined = (points: readonly Point[]) => join(points.map(boxOf))
const texts = (points: readonly Point[]) => points.map((point) => point.join()).sort()

t.test('points that form a complete box become one entry', async (t) => {
  const whole = ['a', 'b'].flatMap((place) =>
    [80, 443].flatMap((port) => [0, 33].map((user): Point => [place, port, user, 'x.service'])),
  )
  t.equal(joined(whole).length, 1)
  t.equal(joined(whole.slice(1)).length, 3, 'one corner is missing')
})

t.test('points are joined first along the dimension that leads to the fewest entries', async (t) => {
  const byPort: Point[] = [
    ['a', 80, 0, undefined],
    ['b', 80, 0, undefined],
    ['c', 80, 0, undefined],
    ['a', 443, 0, undefined],
    ['d', 443, 0, undefined],
    ['e', 443, 0, undefined],
  ]
  t.equal(joined(byPort).length, 2)
  const byPlace = byPort.map(([place, port, ...rest]): Point => [String(port), place.charCodeAt(0), ...rest])
  t.equal(joined(byPlace).length, 2)
})

t.test('a point with an unknown unit is never joined with one whose unit is known', async (t) => {
  t.equal(
    joined([
      ['a', 80, 0, undefined],
      ['a', 80, 0, 'x.service'],
    ]).length,
    2,
  )
})

t.test('after joining, every point is covered exactly once, and nothing else is covered', async (t) => {
  const random = seededRandom(5)
  for (let round = 0; round < 300; round++) {
    const points = new Map<string, Point>()
    for (let i = random(40); i >= 0; i--) {
      const point: Point = ['abcd'[random(4)]!, random(4), random(3), ['x', 'y', undefined][random(3)]]
      points.set(point.join(), point)
    }
    const boxes = joined([...points.values()])
    t.same(boxes.flatMap(pointsOf).sort(), texts([...points.values()]))
    t.same(texts(boxes.flatMap(partsOf).map(({ point }) => point)), texts([...points.values()]))
  }
})

t.test('an empty list of points gives no entry', async (t) => t.same(joined([]), []))
