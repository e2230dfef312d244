/** Reads answers that a test writes, with addresses as text. */
import type { Answer } from 'dns-packet'
import { readAnswer } from '../../../../src/names/dns/answer-reader.js'
import { textOf } from '../../addresses.js'
import { asked, questionOf, response } from '../answers.js'

export const NAME = 'mirror.example.org'

/** Returns what these records give for the name, with addresses as text; undefined when they give nothing. */
export function read(answers: readonly Answer[], { of = asked(NAME), flags = 0 } = {}) {
  return texts(response(of, answers, flags), of)
}

export function texts(bytes: Uint8Array, of = asked(NAME)) {
  const reading = readAnswer(bytes, questionOf(of))
  return reading && { ...reading, hosts: reading.hosts.map(textOf) }
}
export const hostsOf = (answers: readonly Answer[]) => read(answers)?.hosts
export const nothing = { hosts: [], targets: [], aliases: [] }
