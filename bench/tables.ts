/** Makes tables of results: text for a terminal, Markdown for docs/performance.md. */
import type { Column, Compared, Row } from './frame.js'
import { type Measured, medianOf, ratioOf } from './results.js'

/** Returns the heading of a table. The first column has the names. */
const headings = (columns: readonly Column[]) => [
  '',
  ...columns.flatMap(({ title, ratio }) => (ratio ? [title, 'ratio'] : [title])),
]

/** Returns the cells of a contender, each a median over the rounds. */
function cells({ columns, rows }: Compared, row: Row): string[] {
  const [base = row] = rows
  return columns.flatMap(({ key, digits = 0, ratio }) => {
    const value = text(medianOf(row, key), digits)
    return ratio ? [value, `x${text(ratioOf(row, base, key), 2)}`.replace('x-', '-')] : [value]
  })
}

/** Large numbers have spaces, as 1 000 000. */
function text(value: number | undefined, digits: number): string {
  if (value === undefined) return '-'
  const [whole, part] = value.toFixed(digits).split('.') as [string, string?]
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ' ')
  return part === undefined ? spaced : `${spaced}.${part}`
}

/** Returns a comparison as lines of text. */
export function asText(compared: Compared): string {
  const heads = headings(compared.columns)
  const lines = [
    heads,
    ...compared.rows.map((row) => [row.name, ...(row.absent ? [] : cells(compared, row))]),
  ]
  const widths = heads.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)))
  const line = (words: readonly string[]) =>
    words.map((word, i) => (i === 0 ? word.padEnd(widths[0]!) : word.padStart(widths[i]!))).join('  ')
  const body = compared.rows.map((row, i) =>
    row.absent ? `${row.name.padEnd(widths[0]!)}  ${row.absent}` : line(lines[i + 1]!),
  )
  return [compared.name, line(lines[0]!), ...body].map((each, i) => (i === 0 ? each : `  ${each}`)).join('\n')
}

/** Returns a part in Markdown: where and how it was measured, and a table for each comparison. */
export function asMarkdown({ title, day, machine, rounds, seconds, comparisons }: Measured): string {
  const { cpu, cores, memory, kernel } = machine
  const run = `${rounds} round${rounds === 1 ? '' : 's'} of ${seconds} s`
  const where = `${cpu}, ${cores} cores, ${memory} GiB, kernel ${kernel}; ${run}, ${day}.`
  return [`${title} ${where}`, ...comparisons.map(table)].join('\n\n')
}

function table(compared: Compared): string {
  const heads = headings(compared.columns)
  const line = (words: readonly string[]) => `| ${words.join(' | ')} |`
  const rows = compared.rows.map((row) =>
    row.absent
      ? line([row.name, row.absent, ...heads.slice(2).map(() => '')])
      : line([row.name, ...cells(compared, row)]),
  )
  return [
    line([`**${compared.name}**`, ...heads.slice(1)]),
    line(heads.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...rows,
  ].join('\n')
}
