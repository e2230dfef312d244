/** What the service has accepted since it remembers: the answer to GET /v1/passed, and a file of the state directory. */
export interface PassedStatus {
  /** The ones seen last come last. */
  readonly kinds: readonly PassedKindStatus[]
  /** How many kinds were forgotten, so that there was room for others. */
  readonly evicted: number
}

export interface PassedKindStatus {
  /** Left out where the kernel has named none. */
  readonly uid?: number | undefined
  readonly user?: string | undefined
  /** The systemd units from which some of these packets came; nothing where nobody has looked, or the kernel does not tell. */
  readonly units?: readonly string[] | undefined
  /** As in the block log. */
  readonly transport: string
  readonly address: string
  readonly port?: number | undefined
  /** Of the last packet. */
  readonly sourcePort?: number | undefined
  /** The name by which this host last got that address from its resolvers. */
  readonly domain?: string | undefined
  readonly reason: string
  readonly rule: string
  readonly count: number
  /** RFC 3339. */
  readonly first: string
  readonly last: string
}
