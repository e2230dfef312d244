/**
 * Milliseconds of work that this process has done, by getrusage(2). What is measured by it does not grow because others use the
 * processors: whoever keeps them busy must not make a search end too early.
 */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Whether so many milliseconds of work were done since this call: a question to be asked again and again. */
export function isAfter(ms: number): () => boolean {
  const end = cpuTime() + ms
  return () => cpuTime() > end
}
