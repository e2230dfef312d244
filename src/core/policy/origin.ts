/** The place where a value of the configuration is written, for messages to the operator. */
export interface Origin {
  readonly file: string
  /** The line, from 1; undefined when the source has no lines (environment, command line, default). */
  readonly line: number | undefined
}

/** Returns the place as text: `file:line`, or the file alone. */
export const originText = ({ file, line }: Origin): string => (line === undefined ? file : `${file}:${line}`)
