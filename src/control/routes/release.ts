import { fieldsOf, text } from '../../config/formats.js'
import type { Format } from '../../config/location.js'
import type { Containment } from '../../containment/containment.js'
import { type ControlRequest, Refusal, type Route, read } from '../router.js'

/** The answer: who is no longer in quarantine. */
export interface Released {
  readonly uid: number
}

/** Makes the route that ends a quarantine. */
export const releaseRoute = (containment: Pick<Containment, 'release'>): Route => ({
  method: 'DELETE',
  path: '/v1/quarantine',
  async handle({ query }: ControlRequest): Promise<Released> {
    const { uid } = read(onlyUid, query)
    if (!(await containment.release(uid)))
      throw new Refusal('not-quarantined', `the user with uid ${uid} is not in quarantine`)
    return { uid }
  },
})

const onlyUid: Format<{ uid: number }> = (value, place) =>
  fieldsOf(value, place, ['uid'])?.required(
    'uid',
    text('a user id', (written) => (/^\d{1,10}$/.test(written) ? { uid: Number(written) } : undefined)),
  )
