/**
 * Draws the pictures of docs/performance.md from the results: bars beside each other, 360 units wide, so that the
 * text can be read on a phone.
 */
import type { Compared, Row } from './frame.js'
import { medianOf, type Results } from './results.js'

/** A line of bars: a contender, and its figures from left to right. undefined: it has none. */
interface Bars {
  readonly name: string
  readonly values: readonly (number | undefined)[]
  readonly note?: string | undefined
}

interface Picture {
  readonly title: string
  /** What the figures are, below the title. */
  readonly unit: string
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bars[] }[]
  /** What the bars of one contender mean, in the order of their colours; one bar needs none. */
  readonly legend: readonly string[]
  /** Whether lengths are logarithms. They begin at 1. */
  readonly log: boolean
}

const WIDTH = 360
const MARGIN = 10
/** The longest bar; room for its figure is on its right. */
const LONGEST = 250
const THICKNESS = 12
const COLOURS = ['#3b6fb6', '#e0a030', '#b8432f'] as const
const OWN = 'checkvalve'

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

/** Short figures: 1 234 567 is 1.23M. */
function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)}k`
  return value >= 10 || value === 0 ? value.toFixed(0) : value.toPrecision(2)
}

/** Draws a picture, from top to bottom. */
class Drawing {
  readonly #shapes: string[] = []
  #y = 26

  constructor(readonly picture: Picture) {
    const { title, unit, legend } = picture
    this.#text(MARGIN, title, 'font-size="15" font-weight="bold"')
    this.#line(18, MARGIN, unit, 'font-size="11" fill="#666"')
    if (legend.length > 1) this.#legend(legend)
    for (const { name, bars } of picture.groups) this.#group(name, bars)
  }

  get svg(): string {
    const height = this.#y + 14
    const { title, unit } = this.picture
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title text">
  <title id="title">${escaped(title)}</title>
  <desc id="text">${escaped(`${title}: ${unit}. ${this.#described()}`)}</desc>
  <rect width="${WIDTH}" height="${height}" fill="#fff"/>
  ${this.#shapes.join('\n  ')}
</svg>
`
  }

  /** Returns the figures as words, for those who do not see the picture. */
  #described(): string {
    const of = ({ name, values, note }: Bars) =>
      `${name} ${note ?? values.map((value) => (value === undefined ? '-' : short(value))).join(', ')}`
    return this.picture.groups
      .map(({ name, bars }) => `${name ? `${name}: ` : ''}${bars.map(of).join('; ')}.`)
      .join(' ')
  }

  #text(x: number, text: string, attributes = ''): void {
    this.#shapes.push(
      `<text x="${x}" y="${this.#y}"${attributes ? ` ${attributes}` : ''}>${escaped(text)}</text>`,
    )
  }

  #line(down: number, x: number, text: string, attributes = ''): void {
    this.#y += down
    this.#text(x, text, attributes)
  }

  #legend(legend: readonly string[]): void {
    this.#y += 20
    for (const [i, name] of legend.entries()) {
      const x = MARGIN + i * 90
      this.#shapes.push(`<rect x="${x}" y="${this.#y - 10}" width="11" height="11" fill="${COLOURS[i]}"/>`)
      this.#text(x + 16, name, 'font-size="12"')
    }
  }

  #group(name: string, bars: readonly Bars[]): void {
    if (name !== '') this.#line(28, MARGIN, name, 'font-weight="bold" fill="#333"')
    for (const each of bars) {
      const weight = each.name.startsWith(OWN) ? ' font-weight="bold"' : ''
      this.#line(22, MARGIN, each.note ? `${each.name}: ${each.note}` : each.name, `font-size="12"${weight}`)
      if (each.note === undefined)
        for (const [i, value] of each.values.entries()) this.#bar(value, COLOURS[i]!)
      this.#y += 2
    }
  }

  #bar(value: number | undefined, colour: string): void {
    const length = value === undefined ? 0 : Math.max(0, LONGEST * this.#share(value))
    this.#y += THICKNESS + 3
    const y = this.#y - THICKNESS + 2
    this.#shapes.push(
      `<rect x="${MARGIN}" y="${y}" width="${length.toFixed(1)}" height="${THICKNESS}" fill="${colour}"/>`,
    )
    const figure = value === undefined ? 'none' : short(value)
    this.#text(MARGIN + 6 + Number(length.toFixed(0)), figure, 'font-size="11"')
  }

  #share(value: number): number {
    const all = this.picture.groups.flatMap(({ bars }) => bars.flatMap(({ values }) => values))
    const greatest = Math.max(1, ...all.filter((each) => each !== undefined))
    if (!this.picture.log) return value / greatest
    return Math.log10(Math.max(1, value)) / Math.log10(Math.max(10, greatest))
  }
}

/** Returns the bars of a contender. One that is absent has its reason in their place. */
const barsOf = (row: Row, keys: readonly string[]): Bars => ({
  name: row.name,
  values: keys.map((key) => medianOf(row, key)),
  note: row.absent?.split(':')[0],
})

const groupOf = ({ name, rows }: Compared, keys: readonly string[]) => ({
  name,
  bars: rows.map((row) => barsOf(row, keys)),
})

/** Takes the sum of a figure over all worms, without the one that hides: its few packets are none of a flood. */
function arrivals(comparisons: readonly Compared[]): Bars[] {
  const floods = comparisons.filter(({ name }) => !name.startsWith('slow'))
  const names = floods[0]?.rows.map(({ name }) => name) ?? []
  return names.map((name) => {
    const rows = floods.map(({ rows }) => rows.find((row) => row.name === name)!)
    const absent = rows.find((row) => row.absent !== undefined)?.absent?.split(':')[0]
    const mean = rows.reduce((sum, row) => sum + (medianOf(row, 'arrived') ?? 0), 0) / rows.length
    return { name, values: [mean], note: absent }
  })
}

/** Returns the pictures for which there are results, as SVG by name. */
export function picturesOf({ verdicts, latency, flood }: Results): Record<string, string> {
  const pictures: Record<string, Picture> = {
    ...(verdicts && {
      verdicts: {
        title: 'Verdicts a second',
        unit: 'packets refused a second in a flood; more is better',
        groups: [{ name: '', bars: groupOf(verdicts.comparisons[0]!, ['verdicts']).bars }],
        legend: [],
        log: false,
      },
    }),
    ...(latency && {
      latency: {
        title: 'Time to connect',
        unit: 'microseconds, logarithmic; less is better',
        groups: latency.comparisons.map((compared) => groupOf(compared, ['p50', 'p99', 'p999'])),
        legend: ['median', '99%', '99.9%'],
        log: true,
      },
    }),
    ...(flood && {
      flood: {
        title: 'What arrives in a flood',
        unit: 'packets of a worm a second at its victims, mean of all floods, logarithmic; 0 is the aim',
        groups: [{ name: '', bars: arrivals(flood.comparisons) }],
        legend: [],
        log: true,
      },
    }),
  }
  return Object.fromEntries(
    Object.entries(pictures).map(([name, picture]) => [name, new Drawing(picture).svg]),
  )
}
