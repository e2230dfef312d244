/**
 * Puts an entry at the end of a map. The first entry is evicted when the map has more than `capacity`.
 */
export function putLast<K, V>(map: Map<K, V>, key: K, value: V, capacity: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > capacity) map.delete(map.keys().next().value!)
}
