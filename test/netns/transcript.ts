/** Reads the commands and their outputs from a document, so that a test can run them again and compare. */

/** A command that the document shows, or a named event between two commands. */
export type Step =
  | { readonly kind: 'command'; readonly line: number; readonly command: string; readonly output: string }
  | { readonly kind: 'event'; readonly line: number; readonly name: string }

const EVENT = /^<!-- meanwhile: (.+) -->$/
const FENCE = '```'
const BEGIN = `${FENCE}console`
const PROMPT = '$ '

/**
 * Returns the steps of a document in Markdown: lines `$ command` in blocks of `console`, each with its output
 * up to the next command, and comments `<!-- meanwhile: name -->`.
 */
export function stepsOf(document: string): Step[] {
  const steps: Step[] = []
  let shown: { line: number; command: string; output: string[] } | undefined
  let isConsole = false
  const end = () => {
    if (shown !== undefined) steps.push({ kind: 'command', ...shown, output: shown.output.join('\n') })
    shown = undefined
  }
  for (const [index, text] of document.split('\n').entries()) {
    const line = index + 1
    const event = EVENT.exec(text)
    if (text === BEGIN) isConsole = true
    else if (isConsole && text === FENCE) {
      end()
      isConsole = false
    } else if (isConsole && text.startsWith(PROMPT)) {
      end()
      shown = { line, command: text.slice(PROMPT.length), output: [] }
    } else if (shown !== undefined) shown.output.push(text)
    else if (event !== null) steps.push({ kind: 'event', line, name: event[1]! })
  }
  return steps
}

/** Returns the document with other outputs, in the order of its commands. */
export function withOutputs(document: string, outputs: readonly string[]): string {
  const lines: string[] = []
  let next = 0
  let state: 'text' | 'console' | 'output' = 'text'
  for (const text of document.split('\n')) {
    if (text === BEGIN) state = 'console'
    else if (state !== 'text' && text === FENCE) state = 'text'
    else if (state !== 'text' && text.startsWith(PROMPT)) {
      const output = outputs[next++]!
      lines.push(text, ...(output === '' ? [] : output.split('\n')))
      state = 'output'
      continue
    } else if (state === 'output') continue
    lines.push(text)
  }
  return lines.join('\n')
}
