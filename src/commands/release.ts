import { ask } from '../control/client.js'
import type { Released } from '../control/routes/release.js'
import { createUsers } from '../system/users.js'
import { type Command, type Invocation, say, socketOrComplaint, UsageError } from './command.js'

export const release: Command = {
  name: 'release',
  synopsis: 'USER',
  summary: 'end the quarantine of a user',
  details: `The user may open connections again that the configuration allows. Find out
first what the user was blocked at: checkvalve tail --user USER. Whoever goes on
as before is in quarantine again a moment later.`,
  examples: ['checkvalve release www-data'],
  words: 1,
  async run(given: Invocation): Promise<number> {
    const [user] = given.words
    if (user === undefined) throw new UsageError('release needs a user: checkvalve release www-data')
    const uid = createUsers().idOf(user)
    if (uid === undefined) throw new UsageError(`there is no user ${JSON.stringify(user)} on this host`)
    const socket = socketOrComplaint(given)
    if (socket === undefined) return 1
    await ask<Released>(socket, 'DELETE', `/v1/quarantine?uid=${uid}`)
    return say(`${user} is no longer in quarantine`)
  },
}
