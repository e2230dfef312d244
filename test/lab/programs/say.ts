/** Reads the arguments of the programs of the lab, and prints their results: one JSON object a line. */

export function say(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

/** `ok`, `timeout`, or the name of the error: `ECONNREFUSED`, `EHOSTUNREACH`, `EACCES`, `ENOTFOUND` ... */
export type Outcome = string

/**
 * Returns the name of an error. A host with several addresses fails with one error for each; the first
 * counts.
 */
export function outcomeOf(error: unknown): Outcome {
  const { code, errors, message } = error as NodeJS.ErrnoException & { errors?: unknown[] }
  return code ?? (errors?.length ? outcomeOf(errors[0]) : message)
}

/** Returns the milliseconds since `start`, a value of performance.now(), to the microsecond. */
export function since(start: number): number {
  return Math.round((performance.now() - start) * 1000) / 1000
}

/** Parses the argument at `index`, 0 being the first after the program's name, as a number. */
export function numberArgument(index: number, otherwise?: number): number {
  const value = process.argv[index + 2] === undefined ? otherwise : Number(process.argv[index + 2])
  if (value === undefined || Number.isNaN(value)) throw new Error(`argument ${index + 1} must be a number`)
  return value
}

export function textArgument(index: number): string {
  const value = process.argv[index + 2]
  if (value === undefined) throw new Error(`argument ${index + 1} is missing`)
  return value
}
