/**
 * abandoned: makes a namespace, starts a program in it that ignores SIGHUP, SIGINT and SIGTERM and has a
 * child, and waits to be killed. Prints {"identity", "pids"}: the namespace's, and those of all its
 * processes.
 */

import { setInterval } from 'node:timers'
import { Namespace } from '../namespace.js'
import { say } from './say.js'

const STUBBORN = `
trap '' HUP INT TERM
sleep 1000 &
echo "{\\"child\\": $!}"
wait
`

const namespace = await Namespace.create('abandoned')
const program = namespace.spawn(['sh', '-c', STUBBORN])
const { child } = await program.result('child')
say({ identity: namespace.identity, pids: [namespace.pid, program.pid, child] })
setInterval(() => {}, 1000)
