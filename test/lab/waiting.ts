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
