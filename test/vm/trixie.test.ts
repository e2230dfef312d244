/** Follows the service through the life of a host with Debian 13: life.ts. */
import { life } from './life.js'

life('trixie')
