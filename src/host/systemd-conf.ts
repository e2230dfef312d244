/** Reads configuration files of systemd and its services (systemd.syntax(7)). */
import type { Origin } from '../core/policy/origin.js'
import type { Files, TextFile } from './mirrors/file-reader.js'
import { masked } from './mirrors/paths.js'
import { linesOf, type Written } from './mirrors/source-lines.js'

/** The folders of systemd's files; a file of an earlier one hides those of its name. */
const FOLDERS = ['/etc/systemd', '/run/systemd', '/usr/local/lib/systemd', '/usr/lib/systemd', '/lib/systemd']

/** A setting and its line. */
export interface SystemdSetting {
  readonly section: string
  readonly key: string
  readonly value: string
  readonly origin: Origin
}

/** Reads the settings of a service: of its main file (`timesyncd.conf`), then of its drop-ins. */
export const serviceSettings = (files: Files, name: string): SystemdSetting[] =>
  [...mainFile(files, name), ...dropIns(files, name)].flatMap((path) => settingsOf(files.leaf(path)))

/** Reads the settings of each file of a folder (`network`), with those of its drop-ins. */
export const folderSettings = (files: Files, folder: string, name: RegExp): SystemdSetting[][] =>
  masked(files, inFolders(folder), name).map((path) => {
    const own = `${folder}${path.slice(path.lastIndexOf('/'))}`
    return [path, ...dropIns(files, own)].flatMap((each) => settingsOf(files.leaf(each)))
  })

/** Reads the lines of the main files that are comments: stock files have the defaults in them. */
export const stockComments = (files: Files, name: string): { text: string; origin: Origin }[] =>
  inFolders(name).flatMap((path) => {
    const file = files.leaf(path)
    return linesOf(file.text).flatMap(({ text, line }) => {
      const comment = /^\s*[#;]\s*(.*)$/s.exec(text)?.[1]
      return comment === undefined ? [] : [{ text: comment, origin: file.at(line) }]
    })
  })

const inFolders = (name: string) => FOLDERS.map((folder) => `${folder}/${name}`)
const mainFile = (files: Files, name: string) =>
  inFolders(name)
    .filter((path) => files.exists(path))
    .slice(0, 1)
const dropIns = (files: Files, name: string) => masked(files, inFolders(`${name}.d`), /\.conf$/)

/**
 * Returns the values of a list setting: several lines add up, and an empty one takes away what is before it.
 */
export function listSetting(settings: readonly SystemdSetting[], wanted: string): SystemdSetting[] {
  const lines = settings.filter(({ key }) => key === wanted)
  return lines.slice(lines.findLastIndex(({ value }) => value === '') + 1)
}

/** Reads the settings of a file. */
function settingsOf(file: TextFile): SystemdSetting[] {
  let section = ''
  return wholeLines(file.text).flatMap(({ text, line }) => {
    const head = /^\[([^\]]*)\]$/.exec(text)
    if (head) section = head[1]!
    const setting = /^(\w+)\s*=\s*(.*)$/s.exec(text)
    return setting ? [{ section, key: setting[1]!, value: setting[2]!, origin: file.at(line) }] : []
  })
}

/** Joins lines that end with a backslash to the next one; comments between them are left out. */
function wholeLines(text: string): Written[] {
  const whole: Written[] = []
  let open: Written | undefined
  for (const { text: raw, line } of linesOf(text)) {
    const written = raw.trim()
    if (/^[#;]/.test(written) || (written === '' && !open)) continue
    const goesOn = written.endsWith('\\')
    const piece = goesOn ? written.slice(0, -1) : written
    const joined: Written = {
      text: `${open ? `${open.text} ` : ''}${piece}`.trim(),
      line: open?.line ?? line,
    }
    open = goesOn ? joined : undefined
    if (!goesOn) whole.push(joined)
  }
  return open ? [...whole, open] : whole
}
