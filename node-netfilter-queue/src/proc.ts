import { readFileSync } from 'node:fs'

/** Reads a file of proc(5). @returns its text, or undefined where it is missing or belongs to others */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
