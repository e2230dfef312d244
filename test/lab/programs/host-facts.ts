/** host-facts: says what the service finds in the files of its host, and the environment. */

import { discover } from '../../../src/mirrors/discovery/discover.js'
import { readInfrastructure } from '../../../src/mirrors/infrastructure.js'
import { say } from './say.js'

say({ ...readInfrastructure(), ...discover('/'), environment: process.env })
