/** Local ports that serve clients, as flags by port number. Whoever watches the sockets keeps them current. */
export interface Services {
  readonly tcp: Uint8Array
  readonly udp: Uint8Array
}

const PORTS = 65536

export const noServices = (): Services => ({ tcp: new Uint8Array(PORTS), udp: new Uint8Array(PORTS) })
