/** The service ports: a flag (0 or 1) for each local port. InboundWatch keeps them current. */
export interface Services {
  readonly tcp: Uint8Array
  readonly udp: Uint8Array
}

const PORTS = 65536

/** Returns flags for a host without service ports. */
export const noServices = (): Services => ({ tcp: new Uint8Array(PORTS), udp: new Uint8Array(PORTS) })
