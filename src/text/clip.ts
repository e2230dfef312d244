const PLAIN = /^[ !#-[\]-~]*$/
/** Replaces the part that was cut off; three bytes in UTF-8. */
const ELLIPSIS = '…'

/** Cuts a text so that it takes at most `limit` bytes in JSON, not counting the quotes. */
export function clip(text: string, limit: number): string {
  if (text.length <= limit && PLAIN.test(text)) return text
  let bytes = 0
  let cut = 0
  let end = 0
  for (const letter of text) {
    if (bytes + 3 <= limit) cut = end
    bytes += Buffer.byteLength(JSON.stringify(letter)) - 2
    if (bytes > limit) return text.slice(0, cut) + ELLIPSIS
    end += letter.length
  }
  return text
}
