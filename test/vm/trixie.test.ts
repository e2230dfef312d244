/** Runs every scenario on Debian 13: everything.ts. */
import { everything } from './everything.js'

everything('trixie')
