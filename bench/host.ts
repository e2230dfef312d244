/** Sets up the guarded host of a run, in namespaces of its own, so that nothing is left of the run before. */
import { createTopology, type Topology } from '../test/lab/topology.js'
import type { Guard, Peer, Policy } from './peers/peer.js'

/** A policy without further addresses, whose refusals the caller hears. */
export const PLAIN: Policy = { block: 'reject', prefixes: 0 }

/** Starts a peer on the host of a new network, does the work, and takes all of it away. */
export async function withGuard<T>(
  peer: Peer,
  policy: Policy,
  work: (lab: Topology, guard: Guard) => Promise<T>,
  prepare: (lab: Topology) => Promise<unknown> = async () => {},
): Promise<T> {
  await using lab = await createTopology()
  await prepare(lab)
  const guard = await peer.start(lab.web, policy)
  try {
    return await work(lab, guard)
  } finally {
    await guard.stop()
  }
}
