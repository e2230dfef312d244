import { tokensOf, type Written } from './source-lines.js'

/** A setting of apt. Of several settings of one name the last one counts. */
export interface Setting extends Written {
  /** The name in lower case with all its scopes: `acquire::http::proxy`. */
  readonly name: string
  /** Whether it is a `#clear`, which removes the name and all names below it. */
  readonly clear?: true
}

/** Matches the tokens of apt.conf(5). A comment begins at `//` or `#` outside of quotes. */
const TOKEN =
  /"[^"\n]*"?|\/\*[\s\S]*?(?:\*\/|$)|\/\/.*|#(?:clear|include)\b|#.*|[{};]|(?:(?!\/[/*])[^\s"{};#])+/g
/** Matches a comment among the tokens. */
const COMMENT = /^(?:\/[/*]|#(?!(?:clear|include)$))/

/**
 * Parses an apt.conf: `Acquire::http::Proxy "...";` as well as `Acquire { http { Proxy "..."; }; };`. A
 * setting without its semicolon is left out.
 */
export function parseAptConf(text: string): Setting[] {
  const settings: Setting[] = []
  const scopes: string[] = []
  let words: Written[] = []
  for (const token of tokensOf(text, TOKEN, COMMENT)) {
    if (token.text === '{') scopes.push(unquoted(words[0]))
    else if (token.text === '}') scopes.pop()
    else if (token.text === ';') settings.push(...settingOf(words, scopes))
    else words.push(token)
    if (/^[{};]$/.test(token.text)) words = []
  }
  return settings
}

function settingOf(words: readonly Written[], scopes: readonly string[]): Setting[] {
  const [first, second] = words
  if (!first || !second || first.text.startsWith('"')) return []
  if (first.text === '#clear')
    return [{ name: second.text.toLowerCase(), text: '', line: second.line, clear: true }]
  if (first.text === '#include') return [{ name: '#include', text: unquoted(second), line: second.line }]
  const name = [...scopes, first.text].join('::').toLowerCase()
  return [{ name, text: unquoted(second), line: second.line }]
}

const unquoted = (word: Written | undefined): string => word?.text.replace(/^"|"$/g, '') ?? ''
