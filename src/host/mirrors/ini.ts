import { linesOf, type Written } from './source-lines.js'

/** An entry `key = value`; continuation lines are further pieces of the value. */
export interface IniEntry {
  readonly key: string
  readonly value: readonly Written[]
  readonly line: number
}

export interface Section {
  readonly name: string
  readonly entries: IniEntry[]
}

/**
 * Parses the sections of a file of dnf, zypper or pacman. Entries before the first section are in a section
 * without a name. A line that is no entry, or begins with a blank, continues the value above it: that is how
 * several URLs are written.
 */
export function parseIni(text: string): Section[] {
  const sections: Section[] = [{ name: '', entries: [] }]
  for (const { text: whole, line } of linesOf(text)) {
    const written = whole.trim()
    const section = /^\[([^\]]*)\]/.exec(written)
    const entry = /^([A-Za-z][\w-]*)\s*=(.*)$/s.exec(written)
    const last = sections.at(-1)!.entries.at(-1)
    if (written === '' || /^[#;]/.test(written)) continue
    if (section) sections.push({ name: section[1]!.trim(), entries: [] })
    else if (entry)
      sections.at(-1)!.entries.push({ key: entry[1]!, value: [{ text: entry[2]!.trim(), line }], line })
    else if (last) (last.value as Written[]).push({ text: written, line })
  }
  return sections
}

/** Finds the last value of a key in a section, joined to one piece. */
export const lastValue = (section: Section | undefined, key: string): string | undefined =>
  section?.entries
    .findLast((entry) => entry.key === key)
    ?.value.map(({ text }) => text)
    .join(' ')
    .trim()
