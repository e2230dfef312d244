import { type Command, configOrComplaint, type Invocation, note, say } from './command.js'

export const check: Command = {
  name: 'check',
  summary: 'check the configuration',
  details: `Reports every mistake with file, line and key; the exit status is 1 if there is
one. Of this host it reads the files of the configuration only.`,
  examples: ['checkvalve check', 'checkvalve check --config /tmp/candidate.yaml'],
  run(given: Invocation): number {
    const config = configOrComplaint(given)
    if (!config) return 1
    note(config.notes)
    return say('configuration OK')
  },
}
