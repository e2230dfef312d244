import { showConfig as textOf } from '../config/config.js'
import { createUsers } from '../system/users.js'
import { type Command, configOrComplaint, type Invocation, say } from './command.js'

export const showConfig: Command = {
  name: 'show-config',
  summary: 'print the effective configuration, with defaults',
  details: 'The output is a configuration of the same meaning.',
  examples: ['checkvalve show-config', 'checkvalve show-config --set mode=enforce'],
  run(given: Invocation): number {
    const config = configOrComplaint(given)
    return config ? say(textOf(config, createUsers().nameOf).trimEnd()) : 1
  },
}
