/** Where a value of the configuration was written: for messages to the operator. */
export interface Origin {
  readonly file: string
  /** 1-based; undefined where the source has no lines (environment, command line, default). */
  readonly line: number | undefined
}

/** Where something is written: `file:line`. */
export const originText = ({ file, line }: Origin): string => (line === undefined ? file : `${file}:${line}`)
