const PLAIN = /^[ !#-[\]-~]*$/
/** What stands for the part that was cut off: three bytes. */
const ELLIPSIS = '…'

/** A text that takes up at most `limit` bytes of JSON, quotes aside: what is longer is cut. */
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
