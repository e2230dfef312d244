import { type Command, configOrComplaint, type Invocation, note, say } from './command.js'

export const check: Command = {
  name: 'check',
  summary: 'say whether the configuration can be used',
  details: `Names every mistake with file, line and key, and ends with 1 if there is one.
Nothing of this host is looked at but the files of the configuration.`,
  examples: ['checkvalve check', 'checkvalve check --config /tmp/candidate.yaml'],
  run(given: Invocation): number {
    const config = configOrComplaint(given)
    if (!config) return 1
    note(config.notes)
    return say('configuration OK')
  },
}
