import { formatProblem } from '../config/config.js'
import { Daemon } from '../daemon.js'
import { createServiceLog, type ServiceLog } from '../system/service-log.js'
import { type Command, configOrComplaint, type Invocation, readConfig } from './command.js'

export const run: Command = {
  name: 'run',
  summary: 'run the service in the foreground (needs CAP_NET_ADMIN)',
  details: `SIGHUP reloads the configuration; a bad configuration is refused whole, and the
old one stays in force. SIGUSR2 reopens the block log, SIGTERM and SIGINT stop.`,
  examples: ['systemctl start checkvalve', 'checkvalve run --set mode=observe'],
  async run(given: Invocation): Promise<number> {
    const config = configOrComplaint(given)
    if (!config) return 1
    const log = createServiceLog(config.log.level)
    // Signals are handled from the beginning: one during the start must not kill the service and leave its
    // rules behind.
    let isStarting = true
    const stop = new Promise<boolean>((resolve) => {
      process.once('SIGTERM', () => resolve(isStarting))
      process.once('SIGINT', () => resolve(isStarting))
    })
    const started = Daemon.start(config, log)
    let reloading = started.then(() => {})
    process.on('SIGHUP', () => {
      reloading = reloading.then(async () => reload(await started, given, log))
    })
    process.on('SIGUSR2', async () => (await started).reopenLog())
    const daemon = await started
    isStarting = false
    const wasStarting = await stop
    await reloading
    await daemon.stop(wasStarting)
    // Node would wait for the disk, and systemd would wait for Node.
    if (daemon.hangs) process.kill(process.pid, 'SIGKILL')
    return 0
  },
}

/** Reloads the configuration. A bad configuration is refused whole: the old one stays in force. */
async function reload(daemon: Daemon, given: Invocation, log: ServiceLog): Promise<void> {
  const loaded = readConfig(given)
  if (!loaded.ok) {
    const problems = loaded.problems.map(formatProblem)
    for (const problem of problems) log.error(`reload refused: ${problem}`)
    return daemon.noteRefusedReload(problems)
  }
  try {
    await daemon.reload(loaded.config)
  } catch (error) {
    const problem = `the old rules stay: ${(error as Error).message}`
    log.error(`reload failed, ${problem}`)
    daemon.noteRefusedReload([problem])
  }
}
