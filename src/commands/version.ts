import { VERSION } from '../system/version.js'
import { type Command, say } from './command.js'

export const version: Command = {
  name: 'version',
  summary: 'print the version',
  examples: ['checkvalve version'],
  run: () => say(`checkvalve ${VERSION} (node ${process.version})`),
}
