import { linesOf, type Written } from './source-lines.js'

/**
 * The URLs of a list of mirrors, one a line: apt's, with what a mirror is good for behind a tab
 * (apt-transport-mirror(1)), dnf's and zypper's.
 */
export const parseMirrorList = (text: string): Written[] =>
  linesOf(text).flatMap(({ text, line }) => {
    const url = text.trim().split(/\s/, 1)[0]!
    return url === '' || url.startsWith('#') ? [] : [{ text: url, line }]
  })

/** Elements of a metalink that hold the URL of a mirror: `<url protocol="https" ...>https://...</url>`. */
const URL_ELEMENT = /<url(?:\s[^<>]*)?>([^<>]*)<\/url\s*>/

/**
 * The URLs of a metalink (RFC 5854 and the version before it). Line by line, as each line is short work: this is no
 * XML parser, and whatever is unusual names nothing.
 */
export const parseMetalink = (text: string): Written[] =>
  linesOf(text).flatMap(({ text, line }) =>
    text.split(/(?=<url[\s>])/).flatMap((piece) => {
      const url = URL_ELEMENT.exec(piece)?.[1]?.trim()
      return url ? [{ text: url.replaceAll('&amp;', '&'), line }] : []
    }),
  )
