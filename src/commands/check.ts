import { type Command, configOrComplaint, type Given, say } from './command.js'

export const check: Command = {
  name: 'check',
  summary: 'say whether the configuration can be used',
  details: `Names every mistake with file, line and key, and ends with 1 if there is one.
Nothing of this host is looked at but the files of the configuration.`,
  examples: ['checkvalve check', 'checkvalve check --config /tmp/candidate.yaml'],
  run(given: Given): number {
    const config = configOrComplaint(given)
    if (!config) return 1
    for (const note of config.notes) process.stderr.write(`note: ${note}\n`)
    return say('configuration OK')
  },
}
