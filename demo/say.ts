/** Prints the claims of the demo. */

const color = (code: number) => (text: string) =>
  process.stdout.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text
const green = color(32)
const red = color(31)
const bold = color(1)

let failures = 0

export const title = (text: string) => console.log(`\n${bold(text)}`)
export const line = (text: string) => console.log(`  ${text}`)

/** Prints a claim, and whether it holds. A claim that does not hold makes the demo fail. */
export function claim(holds: boolean, text: string): void {
  if (!holds) failures++
  console.log(`  ${holds ? green('ok  ') : red('FAIL')} ${text}`)
}

export const failed = (): number => failures

/** Runs a step, and prints its name when it takes longer than a second. */
export async function progress<T>(doing: string, work: () => Promise<T>): Promise<T> {
  const shown = setTimeout(() => line(`... ${doing}`), 1000)
  try {
    return await work()
  } finally {
    clearTimeout(shown)
  }
}
