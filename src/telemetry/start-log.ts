import type { QueueForm } from '../core/ruleset/ruleset.js'
import type { PolicyInForce } from '../policy/policy-in-force.js'
import type { ServiceLog } from '../system/service-log.js'
import { VERSION } from '../system/version.js'

/**
 * Logs the settings that the service has started with, and notes for the operator.
 * @param trouble why systemd units cannot be found, if so; logged when a rule names units
 */
export function logStart(
  { host, config }: Pick<PolicyInForce, 'host' | 'config'>,
  form: QueueForm,
  trouble: string | undefined,
  log: Pick<ServiceLog, 'info' | 'warn'>,
): void {
  const { mode, queue, metrics, log: blocks, notes } = config
  log.info(
    `checkvalve ${VERSION}: mode ${mode}, queue ${queue.first} (${form} form), ` +
      `metrics http://${metrics.listen.host}:${metrics.listen.port}${metrics.path}, blocks in ${blocks.destination}`,
  )
  if (mode === 'observe')
    log.warn('mode is observe: nothing is blocked, only recorded; set `mode: enforce` to close the valve')
  log.info(host.findings)
  const units = config.allow.some((entry) => entry.units !== undefined) && trouble
  for (const note of [...notes, ...host.notes(config), ...(units ? [units] : [])]) log.warn(note)
}
