import { readInfrastructure } from '../host/infrastructure.js'
import { infrastructureNotes } from '../host/infrastructure-notes.js'
import { type Command, configOrComplaint, type Invocation, note, say } from './command.js'

export const check: Command = {
  name: 'check',
  summary: 'check the configuration',
  details: `Reports every mistake with file, line and key; the exit status is 1 if there is
one. It also says what the service would not know of this host: its resolvers
and time servers.`,
  examples: ['checkvalve check', 'checkvalve check --config /tmp/candidate.yaml'],
  run(given: Invocation): number {
    const config = configOrComplaint(given)
    if (!config) return 1
    note([...config.notes, ...infrastructureNotes(config, readInfrastructure())])
    return say('configuration OK')
  },
}
