import { linesOf, type Written } from './source-lines.js'

/** An assignment `NAME=value` and its line. */
export interface Assignment extends Written {
  readonly name: string
}

/** Parses an environment or sysconfig file: `NAME=value`, `NAME="value"`, `export NAME='value'`. */
export const parseAssignments = (text: string): Assignment[] =>
  linesOf(text).flatMap(({ text, line }) => {
    const [, name, value] = /^\s*(?:export\s+)?(\w+)=(.*)$/s.exec(text) ?? []
    if (name === undefined) return []
    const quoted = /^(["'])(.*?)\1/s.exec(value!)
    return [{ name, text: quoted ? quoted[2]! : value!.trim().replace(/^["']/, ''), line }]
  })

/** Finds the last non-empty value of a name in any case: people write http_proxy and HTTP_PROXY. */
export const assignment = (assignments: readonly Assignment[], name: string): Assignment | undefined =>
  assignments.findLast((one) => one.name.toLowerCase() === name.toLowerCase() && one.text !== '')
