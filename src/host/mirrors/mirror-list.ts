import { linesOf, type Written } from './source-lines.js'

/**
 * Reads the URLs of a list of mirrors, one on each line: of apt (apt-transport-mirror(1), with metadata after
 * a tab), dnf and zypper.
 */
export const parseMirrorList = (text: string): Written[] =>
  linesOf(text).flatMap(({ text, line }) => {
    const url = text.trim().split(/\s/, 1)[0]!
    return url === '' || url.startsWith('#') ? [] : [{ text: url, line }]
  })

/**
 * Matches the elements of a metalink that hold the URL of a mirror: `<url protocol="https"
 * ...>https://...</url>`.
 */
const URL_ELEMENT = /<url(?:\s[^<>]*)?>([^<>]*)<\/url\s*>/

/**
 * Reads the URLs of a metalink (RFC 5854 and the version before it) line by line. It is no XML parser:
 * unusual elements are left out.
 */
export const parseMetalink = (text: string): Written[] =>
  linesOf(text).flatMap(({ text, line }) =>
    text.split(/(?=<url[\s>])/).flatMap((piece) => {
      const url = URL_ELEMENT.exec(piece)?.[1]?.trim()
      return url ? [{ text: url.replaceAll('&amp;', '&'), line }] : []
    }),
  )

/** Whether the text of a list is a metalink: its URLs are in elements of XML. */
export const isMetalink = (text: string): boolean => /^\ufeff?\s*</.test(text)

/** Returns the path of a list that is a file of this host: `file:///etc/mirrors`, `/etc/mirrors`. */
export const localList = (url: string): string | undefined =>
  /^(?:file:(?:\/\/(?:localhost)?)?)?(\/[^?#]*)/i.exec(url)?.[1]
