/** Makes the events of the block log that tell of alerts and quarantines. */
import type { Burst } from '../../core/record/tripwire.js'
import { clip } from '../../text/clip.js'
import { terminalSafeField } from '../../text/terminal-safe.js'
import type { AlertEvent } from './event.js'
import { type Added, duration, type Surroundings, sender, senderNames, userName } from './event-writer.js'

/**
 * What happened:
 * - `begin`: a burst of first contacts began. `until`: milliseconds since the epoch when the quarantine for it ends
 * - `end`: the burst is over
 * - `released`: a quarantine is over
 */
export type Alert =
  | { readonly type: 'begin'; readonly burst: Burst; readonly until: number | undefined }
  | { readonly type: 'end'; readonly burst: Burst }
  | { readonly type: 'released'; readonly uid: number; readonly by: 'time' | 'operator' }

/** Maximum length of a destination in JSON, in bytes: with ten of them no line is longer than a pipe takes whole. */
const DESTINATION_BYTES = 80

type Fields = Omit<AlertEvent, Added>

export function alertEvent(alert: Alert, around: Surroundings): Fields {
  if (alert.type === 'released') return releasedEvent(alert, around)
  return alert.type === 'begin' ? beginEvent(alert, around) : endEvent(alert.burst, around)
}

function beginEvent({ burst, until }: Extract<Alert, { type: 'begin' }>, around: Surroundings): Fields {
  const names = senderNames(burst.who)
  const who = sender(burst.uid, { user: userName(burst.uid, around), ...names })
  const destinations = burst.destinations.map((each) => clip(terminalSafeField(each), DESTINATION_BYTES))
  const verb = around.mode === 'observe' ? 'would have been blocked' : 'was blocked'
  const measure = until === undefined ? 'nothing but that is done' : quarantineText(until, around)
  return {
    ...common('alert', around),
    ...senderFields(burst, around),
    'checkvalve.destinations': destinations,
    'checkvalve.blocks': burst.blocks,
    'checkvalve.rate': rateOf(burst),
    'checkvalve.quarantine':
      until === undefined ? undefined : around.mode === 'observe' ? 'rehearsed' : 'begun',
    'checkvalve.until': until === undefined ? undefined : new Date(until).toISOString(),
    message: `ALERT: ${who} ${verb} at ${burst.contacts} new destinations in ${secondsText(burst)}, as a worm is: ${destinations.slice(-3).join(', ')}; ${measure}`,
  }
}

function endEvent(burst: Burst, around: Surroundings): Fields {
  const who = sender(burst.uid, { user: userName(burst.uid, around), ...senderNames(burst.who) })
  return {
    ...common('alert-ended', around),
    ...senderFields(burst, around),
    'checkvalve.blocks': burst.blocks,
    'checkvalve.rate': rateOf(burst),
    message: `the burst of ${who} is over: ${burst.blocks} blocks in ${duration(burst.last - burst.start)}, ${rateOf(burst)} a second; those in quarantine are not among them`,
  }
}

function releasedEvent({ uid, by }: Extract<Alert, { type: 'released' }>, around: Surroundings): Fields {
  const user = userName(uid, around)
  const why = by === 'time' ? 'its time is over' : '`checkvalve release`'
  return {
    ...common('released', around),
    'user.id': String(uid),
    'user.name': user,
    message: `${sender(uid, { user })} is no longer in quarantine: ${why}`,
  }
}

const common = (action: AlertEvent['event.action'], { mode }: Surroundings) =>
  ({
    'event.kind': 'alert',
    'event.category': ['intrusion_detection'],
    'event.type': ['info'],
    'event.action': action,
    'checkvalve.mode': mode,
    'checkvalve.repeat': 0,
  }) satisfies Partial<AlertEvent>

function senderFields({ uid, who }: Burst, around: Surroundings) {
  const names = senderNames(who)
  return {
    'user.id': uid < 0 ? undefined : String(uid),
    'user.name': userName(uid, around),
    'process.pid': who.pid,
    'process.executable': names.executable,
    'container.id': names.container,
    'service.name': names.service,
    'checkvalve.unit': names.unit,
    'checkvalve.candidates': names.candidates,
  } satisfies Partial<AlertEvent>
}

function quarantineText(until: number, { mode }: Surroundings): string {
  const time = new Date(until).toISOString()
  return mode === 'observe'
    ? `in mode enforce this user would be in quarantine until ${time}`
    : `in quarantine until ${time}, or \`checkvalve release\``
}

/** Blocks a second. */
const rateOf = ({ blocks, start, last }: Burst): number =>
  Math.round((blocks / Math.max(last - start, 100)) * 1000)

const secondsText = ({ start, last }: Burst): string => {
  const seconds = (last - start) / 1000
  return seconds < 10 ? `${Math.max(seconds, 0.1).toFixed(1)} s` : duration(last - start)
}
