/** Runs every scenario on Debian 12: everything.ts. */
import { everything } from './everything.js'

everything('bookworm')
