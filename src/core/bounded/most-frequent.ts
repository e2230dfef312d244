/** The one that is there most often; of several, the one that comes first. undefined where there is none. */
export function mostFrequent<T>(all: Iterable<T>): T | undefined {
  const counts = new Map<T, number>()
  for (const each of all) counts.set(each, (counts.get(each) ?? 0) + 1)
  const most = Math.max(...counts.values())
  for (const [each, count] of counts) if (count === most) return each
  return undefined
}
