/**
 * Returns the CPU time of this process in milliseconds (getrusage(2)). CPU time does not grow while other
 * processes use the CPUs: an attacker who keeps the CPUs busy must not make a search end too early.
 */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/**
 * Returns a function that says whether the process has used `ms` milliseconds of CPU time since this call.
 */
export function isAfter(ms: number): () => boolean {
  const end = cpuTime() + ms
  return () => cpuTime() > end
}
