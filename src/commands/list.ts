import { allow } from './allow.js'
import { check } from './check.js'
import type { Command } from './command.js'
import { doctor } from './doctor.js'
import { explain } from './explain.js'
import { mode } from './mode.js'
import { replay } from './replay.js'
import { ruleset } from './ruleset.js'
import { run } from './run.js'
import { showConfig } from './show-config.js'
import { status } from './status.js'
import { suggest } from './suggest.js'
import { tail } from './tail.js'
import { version } from './version.js'

/** In the order in which they are shown. */
export const COMMANDS: readonly Command[] = [
  run,
  check,
  showConfig,
  ruleset,
  status,
  explain,
  tail,
  suggest,
  replay,
  allow,
  mode,
  doctor,
  version,
]

export const commandOf = (name: string): Command | undefined => COMMANDS.find((each) => each.name === name)
