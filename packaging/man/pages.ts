/** Makes the manual pages, from the texts of `--help` and the documents. */
import type { Command } from '../../src/commands/command.js'
import { COMMON, SIGNALS, synopsisOf } from '../../src/commands/help.js'
import {
  bold,
  definition,
  escapeText,
  example,
  fromMarkdown,
  header,
  paragraph,
  section,
  subsection,
} from './roff.js'

const DOCUMENTS = '/usr/share/doc/checkvalve'

export interface Sources {
  readonly version: string
  readonly commands: readonly Command[]
  /** The texts of docs/configuration.md and docs/log.md. */
  readonly configuration: string
  readonly log: string
}

/** Returns the text of each page by the name of its file. */
export function pages({ version, commands, configuration, log }: Sources): Map<string, string> {
  return new Map([
    ['checkvalve.8', commandPage(version, commands)],
    [
      'checkvalve.yaml.5',
      documentPage('checkvalve.yaml', 'configuration of checkvalve(8)', version, configuration),
    ],
    ['checkvalve-log.5', documentPage('checkvalve-log', 'block log of checkvalve(8)', version, log)],
  ])
}

function documentPage(name: string, what: string, version: string, markdown: string): string {
  const own = name === 'checkvalve-log' ? 'checkvalve.yaml' : 'checkvalve-log'
  return [
    header(name, 5, version),
    nameSection(name, what),
    section('description'),
    fromMarkdown(markdown),
    seeAlso(['checkvalve(8)', `${own}(5)`]),
  ].join('')
}

function commandPage(version: string, commands: readonly Command[]): string {
  return [
    header('checkvalve', 8, version),
    nameSection('checkvalve', 'outbound guard for web servers'),
    section('synopsis'),
    `${bold('checkvalve')} COMMAND [OPTION]...\n`,
    section('description'),
    paragraph(
      escapeText(
        'checkvalve judges each new outbound packet of this host: replies to clients, updates and what the configuration allows pass, all else is blocked and logged.',
      ),
    ),
    section('options of all commands'),
    helpText(COMMON),
    section('commands'),
    ...commands.map(commandSection),
    section('signals'),
    paragraph(escapeText(SIGNALS)),
    section('exit status'),
    definition('0', 'Success.'),
    definition('1', 'The answer is no, or the configuration is bad.'),
    definition('2', 'The command line cannot be understood.'),
    section('files'),
    definition(bold('/etc/checkvalve/checkvalve.yaml'), `The configuration: ${bold('checkvalve.yaml')}(5).`),
    definition(bold('/etc/checkvalve/conf.d/*.yaml'), 'More of it.'),
    definition(bold('/var/log/checkvalve/blocks.json'), `The block log: ${bold('checkvalve-log')}(5).`),
    definition(bold('/var/lib/checkvalve'), 'What survives a restart.'),
    definition(bold('/run/checkvalve/control.sock'), 'The socket by which commands ask the service.'),
    definition(bold(DOCUMENTS), 'The documents.'),
    seeAlso(['checkvalve.yaml(5)', 'checkvalve-log(5)', 'nft(8)']),
  ].join('')
}

const nameSection = (name: string, what: string) =>
  `${section('name')}${escapeText(name)} \\- ${escapeText(what)}\n`

const seeAlso = (others: readonly string[]) =>
  `${section('see also')}${others.map(escapeText).join(', ')}, and the documents in ${bold(DOCUMENTS)}\n`

function commandSection(command: Command): string {
  const { name, summary, details = '', examples } = command
  return [
    subsection(name),
    paragraph(bold(synopsisOf(command))),
    paragraph(escapeText(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)),
    helpText(details),
    example(examples.join('\n')),
  ].join('')
}

/** Matches an option of a help text, with the first line of its explanation. */
const OPTION = /^ {2}(\S.*?) {2,}(\S.*)$/

/** Turns a text of `--help` into paragraphs and definitions. */
function helpText(text: string): string {
  const blocks: { term?: string; lines: string[] }[] = []
  let isOpen = false
  for (const line of text.split('\n')) {
    const option = OPTION.exec(line)
    if (option) blocks.push({ term: option[1]!, lines: [option[2]!] })
    else if (isOpen && (line.startsWith(' ') || blocks.at(-1)!.term === undefined))
      blocks.at(-1)!.lines.push(line.trim())
    else if (line !== '') blocks.push({ lines: [line] })
    isOpen = line !== ''
  }
  return blocks
    .map(({ term, lines }) => {
      const body = escapeText(lines.join('\n')).replace(/`([^`]+)`/g, '\\fB$1\\fR')
      return term === undefined ? paragraph(body) : definition(bold(term), body)
    })
    .join('')
}
