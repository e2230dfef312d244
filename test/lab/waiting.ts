/** How tests wait: for the state they are about, with one end that only a failure reaches. */

/** Milliseconds after which what is waited for does not come any more, on the slowest machine. */
export const PATIENCE_MS = 120_000

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Asks again and again until the answer is yes. @throws Error after `ms` */
export async function eventually(
  what: string,
  ask: () => boolean | Promise<boolean>,
  ms = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await pause(20)) if (await ask()) return
  throw new Error(`not within ${ms} ms: ${what}`)
}

/**
 * Tries what must happen within a time: with a short one first, and with longer ones while the machine is too slow.
 * @param attempt is given milliseconds, and returns undefined when they were over too early
 */
export async function inTime<T>(attempt: (ms: number) => Promise<T | undefined>): Promise<T> {
  for (let ms = 4000; ms < PATIENCE_MS; ms *= 3) {
    const result = await attempt(ms)
    if (result !== undefined) return result
  }
  throw new Error('this machine is too slow even for the longest time')
}
