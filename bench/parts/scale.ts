/**
 * Measures whether a verdict costs more where there is more: 10 to 1,000,000 sessions, 10 to 100,000 names and
 * prefixes. Sessions and names are measured in this process; prefixes with the service, in a flood.
 */
import type { Comparison, Part } from '../frame.js'
import { checkvalve } from '../peers/checkvalve.js'
import { nameComparisons } from '../scale/names.js'
import { sessionComparisons } from '../scale/sessions.js'
import { refusing, VERDICT_COLUMNS } from './verdicts.js'

const PREFIXES = [10, 10_000, 100_000]

const prefixes: Comparison = {
  name: 'prefixes: a verdict in a flood',
  columns: VERDICT_COLUMNS,
  contenders: PREFIXES.map((number) => refusing(checkvalve, number, `${number} prefixes`)),
}

export const scale: Part = {
  name: 'scale',
  title: 'The cost of a verdict, and of what is learned, by size.',
  comparisons: async () => [prefixes, ...sessionComparisons(), ...(await nameComparisons())],
}
