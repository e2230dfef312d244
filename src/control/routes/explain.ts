/** Answers `GET /v1/explain?protocol=tcp&to=192.0.2.7:443&uid=33`. */

import { answerQuestion } from '../../analysis/explain/answer.js'
import type { ExplainContext } from '../../analysis/explain/context.js'
import { FIELDS, type Fields, readQuery } from '../../analysis/explain/query.js'
import { Refusal, type Route } from '../router.js'

export const EXPLAIN = '/v1/explain'

/** @param world makes the context of an answer from the current state */
export const explainRoute = (world: () => ExplainContext): Route => ({
  method: 'GET',
  path: EXPLAIN,
  async handle({ query }) {
    const unknown = Object.keys(query).find((key) => !FIELDS.some((field) => field === key))
    if (unknown !== undefined)
      throw new Refusal(
        'invalid-request',
        `there is no parameter ${JSON.stringify(unknown)}; there are ${FIELDS.join(', ')}`,
      )
    const question = readQuery(query as Fields)
    if (!question.ok) throw new Refusal('invalid-request', question.reason)
    const answer = await answerQuestion(question.value, world())
    if (!answer.ok) throw new Refusal('invalid-request', answer.reason)
    return answer.value
  },
})

export const explainPath = (fields: Fields): string => `${EXPLAIN}?${new URLSearchParams(fields)}`
