import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatAddress } from '../core/packet/address-text.js'
import { protocolOf, transportOf } from '../core/packet/protocol-names.js'
import { REASONS, type Reason } from '../core/policy/rule.js'
import { type AcceptedFlow, AcceptedFlows } from '../core/record/accepted-flows.js'
import { StateFile, type StateFileOptions } from '../system/state-file.js'
import {
  type AcceptedFlowRow,
  forgottenOf,
  type PassedKindStatus,
  type PassedStatus,
  passedOf,
} from './accepted-flows-format.js'

/** Name of the file in the state directory. */
export const PASSED_FILE = 'passed.json'
const INTERVAL_MS = 60_000
/** Number of accepted flows that are remembered for `replay`. */
const MAX_ACCEPTED_FLOWS = 4096

/** Keeps accepted flows on disk, for `replay` without the service, and for the next run. */
export class AcceptedFlowsFile {
  readonly flows = new AcceptedFlows(MAX_ACCEPTED_FLOWS, crypto.getRandomValues(new Uint32Array(2)))
  readonly #userName: (uid: number) => string | undefined
  readonly #file: StateFile
  /** Packets that the text knows of. */
  #packets = 0

  constructor(
    directory: string,
    userName: (uid: number) => string | undefined,
    log: StateFileOptions['log'],
  ) {
    const path = join(directory, PASSED_FILE)
    this.#userName = userName
    this.#file = new StateFile({
      path,
      text: () => `${JSON.stringify(this.status())}\n`,
      loss: 'replay does not see the latest accepted flows, and a restart loses them',
      log,
      intervalMs: INTERVAL_MS,
    })
    this.#restore(path)
  }

  /** Restores what an earlier run has kept. A file that cannot be read is ignored. */
  #restore(path: string): void {
    try {
      const kept = JSON.parse(readFileSync(path, 'utf8'))
      this.flows.restore(passedOf(kept).flatMap(kindOf))
      this.flows.evicted += forgottenOf(kept)
    } catch {
      // Nothing depends on it.
    }
  }

  /** Returns the accepted flows in the form of GET /v1/passed. */
  status(): PassedStatus {
    const { flows, evicted } = this.flows
    return { kinds: flows.map((flow) => written(flow, this.#userName)), evicted }
  }

  /** Writes once a minute when packets have come. @param now as StateFile.tick */
  tick(now: number): Promise<void> {
    this.#noteChange()
    return this.#file.tick(now)
  }

  /** Writes now when packets have come. @returns why the file could not be written, or undefined */
  write(): Promise<string | undefined> {
    this.#noteChange()
    return this.#file.write()
  }

  #noteChange(): void {
    const { packets } = this.flows
    if (packets !== this.#packets) this.#file.change()
    this.#packets = packets
  }
}

const written = (kind: AcceptedFlow, userName: (uid: number) => string | undefined): PassedKindStatus => ({
  uid: kind.uid < 0 ? undefined : kind.uid,
  user: kind.uid < 0 ? undefined : userName(kind.uid),
  units: kind.units.length === 0 ? undefined : kind.units,
  transport: transportOf(kind.protocol),
  address: formatAddress(kind.family, kind.destination),
  port: kind.destinationPort || undefined,
  sourcePort: kind.sourcePort || undefined,
  domain: kind.domain,
  reason: kind.reason,
  rule: kind.rule,
  count: kind.count,
  first: new Date(kind.first).toISOString(),
  last: new Date(kind.last).toISOString(),
})

/** Restores a flow. A flow with an unknown protocol or reason, or without a time, is skipped. */
function kindOf({ host, transport, reason, first, last, ...kind }: AcceptedFlowRow): AcceptedFlow[] {
  const protocol = protocolOf(transport)
  if (protocol === undefined || !isReason(reason) || !Number.isFinite(first + last)) return []
  return [
    {
      uid: kind.uid ?? -1,
      family: host.family,
      destination: host.words,
      protocol,
      destinationPort: kind.port ?? 0,
      sourcePort: kind.sourcePort ?? 0,
      units: kind.units,
      domain: kind.domain,
      ...{ reason, rule: kind.rule, count: kind.count, first, last },
    },
  ]
}

const isReason = (value: string): value is Reason => (REASONS as readonly string[]).includes(value)
