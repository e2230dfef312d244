import { linesOf, type Written } from './source-lines.js'

/** `NAME=value` of a line. */
export interface Assignment extends Written {
  readonly name: string
}

/** The lines of an environment(5) or a sysconfig file: `NAME=value`, `NAME="value"`, `export NAME='value'`. */
export const parseAssignments = (text: string): Assignment[] =>
  linesOf(text).flatMap(({ text, line }) => {
    const [, name, value] = /^\s*(?:export\s+)?(\w+)=(.*)$/s.exec(text) ?? []
    if (name === undefined) return []
    const quoted = /^(["'])(.*?)\1/s.exec(value!)
    return [{ name, text: quoted ? quoted[2]! : value!.trim().replace(/^["']/, ''), line }]
  })

/** The last value of a name that is not empty, whatever its case: `http_proxy` is written both ways. */
export const assignment = (assignments: readonly Assignment[], name: string): Assignment | undefined =>
  assignments.findLast((one) => one.name.toLowerCase() === name.toLowerCase() && one.text !== '')
