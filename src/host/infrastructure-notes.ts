/** Says what the service does not know of the host's resolvers and time servers. */
import type { Config } from '../config/config.js'
import type { Infrastructure } from './infrastructure.js'

export const NO_TIME_SERVER = 'no time server is known, so that NTP is blocked'
export const NAME_ONE =
  'name one in infrastructure.ntp, or write `ntp: []` there if something else keeps the clock'

type Settings = Pick<Config, 'infrastructure'>

/** What is not known of the resolvers on this host; nothing where the configuration names them. */
export const resolverNotes = (
  { infrastructure }: Settings,
  { resolverNotes }: Pick<Infrastructure, 'resolverNotes'>,
): readonly string[] => (infrastructure.dns === 'auto' ? resolverNotes : [])

/** Whether time servers are to be found on this host, and none was. */
export const lacksTimeServer = (
  { infrastructure }: Settings,
  { timeServers }: Pick<Infrastructure, 'timeServers'>,
): boolean => infrastructure.ntp === 'auto' && timeServers.length === 0

/** All notes, for the operator: each says what is missing, and what to do. */
export const infrastructureNotes = (
  config: Settings,
  host: Pick<Infrastructure, 'resolverNotes' | 'timeServers'>,
): string[] => [
  ...resolverNotes(config, host),
  ...(lacksTimeServer(config, host) ? [`${NO_TIME_SERVER}: ${NAME_ONE}`] : []),
]
