/** Lets tests wait for the state that they are about, with a time limit that only a failure reaches. */

/** The time limit in milliseconds, long enough for the slowest machine. */
export const PATIENCE_MS = 120_000

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Calls `ask` again and again until it returns true. @throws Error after `ms` milliseconds */
export async function eventually(
  what: string,
  ask: () => boolean | Promise<boolean>,
  ms = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await pause(20)) if (await ask()) return
  throw new Error(`not within ${ms} ms: ${what}`)
}

/**
 * Tries what must happen within a time: with a short time first, and with longer ones while the machine is
 * too slow.
 * @param attempt gets the time in milliseconds, and returns undefined when the time was too short
 */
export async function inTime<T>(attempt: (ms: number) => Promise<T | undefined>): Promise<T> {
  for (let ms = 4000; ms < PATIENCE_MS; ms *= 3) {
    const result = await attempt(ms)
    if (result !== undefined) return result
  }
  throw new Error('this machine is too slow even for the longest time')
}
