/** Returns the most frequent value; on a tie the first; undefined when there is none. */
export function mostFrequent<T>(values: Iterable<T>): T | undefined {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const highest = Math.max(...counts.values())
  for (const [value, count] of counts) if (count === highest) return value
  return undefined
}
