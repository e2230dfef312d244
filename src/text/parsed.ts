/** The result of parsing a text: its value, or a reason that is made to follow the text in a message. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string }

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value })

/** @param reason what is wrong, to follow the text: "is not an IPv4 or IPv6 address" */
export const unparsable = (reason: string): { ok: false; reason: string } => ({ ok: false, reason })
