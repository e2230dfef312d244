/**
 * licences.mjs FOLDER: writes `copyright` into a folder: the licence of checkvalve and those of the npm packages in its
 * program. Apache's licence, which several have, is a file beside it.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [folder] = process.argv.slice(2)
const APACHE = 'Apache-2.0'
const LINE = `\n${'-'.repeat(70)}\n`

const list = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { encoding: 'utf8' })
// The first line is this package itself, and node-netfilter-queue is a part of it.
const packages = [...new Set(list.trim().split('\n').slice(1))]
  .filter((path) => basename(path) !== 'node-netfilter-queue')
  .sort()

const texts = packages.map((path) => {
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  const file = readdirSync(path).find((each) => /^licen[cs]e/i.test(each))
  if (file === undefined) throw new Error(`${name} has no file with its licence`)
  const title = `${name} ${version} (${license})\n\n`
  if (license !== APACHE) return title + readFileSync(join(path, file), 'utf8').trim()
  copyFileSync(join(path, file), join(folder, `${APACHE}.txt`))
  return `${title}The licence is in ${APACHE}.txt beside this file, and on Debian in /usr/share/common-licenses/${APACHE}.`
})
const own = `checkvalve\n\n${readFileSync('LICENSE', 'utf8').trim()}`
const intro =
  'The program /usr/lib/checkvalve/dist/bin has in it the npm packages below, each with its own licence.'
writeFileSync(join(folder, 'copyright'), `${[own, intro, ...texts].join(`\n${LINE}\n`)}\n`)
