/** host-facts: prints what the service finds in the files of its host, and the environment. */

import { readInfrastructure } from '../../../src/host/infrastructure.js'
import { discover } from '../../../src/host/mirrors/discover.js'
import { say } from './say.js'

say({ ...readInfrastructure(), ...discover('/'), environment: process.env })
