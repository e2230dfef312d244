/** Turns markdown, as the documents of this repository use it, into the language of manual pages (man(7)). */
import { lexer, type Token, type Tokens } from 'marked'

/** Escapes a text, also for the beginning of a line, where a dot or an apostrophe would begin a request. */
export function escapeText(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
}

/** Shows a word of the program in bold, and never hyphenated. */
export const bold = (text: string): string => `\\fB\\%${escapeText(text)}\\fR`

/** An argument of a request is one word. */
const quoted = (text: string) => `"${text.replaceAll('"', '\\(dq')}"`

export const section = (title: string): string => `.SH ${quoted(escapeText(title.toUpperCase()))}\n`
export const subsection = (title: string): string => `.SS ${quoted(escapeText(title))}\n`
export const paragraph = (text: string): string => `.PP\n${text}\n`
export const definition = (term: string, body: string): string => `.TP\n${term}\n${body}\n`
export const example = (text: string): string => `.PP\n.RS 4\n.EX\n${escapeText(text)}\n.EE\n.RE\n`

/** The first lines of a page. */
export const header = (name: string, chapter: number, version: string): string =>
  `.TH ${quoted(escapeText(name))} ${chapter} "" ${quoted(escapeText(`checkvalve ${version}`))} ${quoted('checkvalve')}\n`

/** Turns a document into sections. Its title is left out: a page has a name instead. */
export function fromMarkdown(markdown: string): string {
  return lexer(markdown).map(block).join('')
}

function block(token: Token): string {
  switch (token.type) {
    case 'heading':
      return heading(token as Tokens.Heading)
    case 'paragraph':
      return paragraph(inline(token.tokens!))
    case 'code':
      return example((token as Tokens.Code).text)
    case 'list':
      return (token as Tokens.List).items.map(item).join('')
    case 'table':
      return table(token as Tokens.Table)
    case 'space':
      return ''
    default:
      throw new Error(`a manual page cannot show markdown of type ${token.type}: ${token.raw}`)
  }
}

function heading({ depth, text }: Tokens.Heading): string {
  if (depth === 1) return ''
  return depth === 2 ? section(text) : subsection(text)
}

const item = ({ tokens }: Tokens.ListItem) =>
  `.IP \\(bu 3\n${inline(tokens.flatMap((token) => ('tokens' in token ? token.tokens! : [])))}\n`

/** Shows a row as a term and its definition. Cells of a row with more than two carry the titles of their columns. */
function table({ header, rows }: Tokens.Table): string {
  const titled = (cell: Tokens.TableCell, column: number) => {
    const text = inline(cell.tokens)
    return header.length === 2 ? text : `${inline(header[column]!.tokens)}: ${text}`
  }
  return rows
    .map(([term, ...cells]) => {
      const lines = cells.flatMap((cell, i) => (cell.text === '' ? [] : [titled(cell, i + 1)]))
      return definition(inline(term!.tokens), lines.join('\n.br\n'))
    })
    .join('')
}

function inline(tokens: readonly Token[]): string {
  return tokens.map(span).join('')
}

function span(token: Token): string {
  switch (token.type) {
    case 'text':
    case 'escape':
      return 'tokens' in token ? inline(token.tokens!) : escapeText(token.text)
    case 'codespan':
      return bold(token.text)
    case 'strong':
      return `\\fB${inline(token.tokens!)}\\fR`
    case 'link':
      return link(token as Tokens.Link)
    default:
      throw new Error(`a manual page cannot show markdown of type ${token.type}: ${token.raw}`)
  }
}

/** Names the document that a link leads to, unless its text does; it is in the same folder as all documents. */
function link({ href, tokens, text }: Tokens.Link): string {
  const document = href.split('#')[0]!
  return document === '' || text.includes(document)
    ? inline(tokens)
    : `${inline(tokens)} (${escapeText(document)})`
}
