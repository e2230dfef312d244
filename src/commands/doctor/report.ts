/** Formats the findings of the doctor for an operator, in 80 columns. */
import type { Colour, Paint } from '../colours.js'
import { WIDTH, wrap } from '../terminal.js'
import { type Finding, type Grade, isAmiss } from './finding.js'

const WORDS: Readonly<Record<Grade, readonly [word: string, colour: Colour]>> = {
  ok: ['ok', 'green'],
  note: ['note', 'dim'],
  look: ['LOOK', 'yellow'],
  fail: ['FAIL', 'red'],
  unknown: ['?', 'yellow'],
}
const INDENT = 6

export const findingsText = (findings: readonly Finding[], paint: Paint): string =>
  findings.map((each) => findingText(each, paint)).join('\n')

function findingText({ grade, area, what, advice }: Finding, paint: Paint): string {
  const [word, colour] = WORDS[grade]
  const lines = [
    ...wrap(`${area}: ${what}`, WIDTH - INDENT),
    ...(advice === undefined ? [] : wrap(advice, WIDTH - INDENT - 3).map(arrow)),
  ]
  const indented = lines.map((line) => ' '.repeat(INDENT) + line)
  return paint(colour, word) + indented.join('\n').slice(word.length)
}

const arrow = (line: string, index: number) => (index === 0 ? '-> ' : '   ') + line

/** Makes the last line: the number of findings to look at. */
export function summary(findings: readonly Finding[]): string {
  const count = (isIt: (finding: Finding) => boolean) => findings.filter(isIt).length
  const unknown = count(({ grade }) => grade === 'unknown')
  const amiss = count(isAmiss)
  const seen = amiss === 0 ? 'nothing is amiss' : `${amiss} to look at`
  return unknown === 0 ? seen : `${seen}; ${unknown} could not be checked`
}
