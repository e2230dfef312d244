import t from 'tap'
import {
  lossText,
  recoveryText,
  startText,
  troubleText,
} from '../../../src/records/block-log/trouble-text.js'

const PATH = '/var/log/checkvalve/blocks.json'
const textFor = (code: string, destination = PATH) =>
  troubleText(destination, Object.assign(new Error(`${code}: so it is`), { code }))

t.test('each error that stops the log is reported with its cause and the remedy', async (t) => {
  for (const [code, advice] of [
    ['ENOSPC', /make room there \(df -h \/var\/log\/checkvalve\)/],
    ['EDQUOT', /make room there/],
    ['EFBIG', /make room there/],
    ['EROFS', /read-only.*dmesg.*remount,rw/],
    ['ELOOP', /a symbolic link is there.*remove it, or set log\.destination/],
    ['EACCES', /let the service's user write in \/var\/log\/checkvalve$/],
    ['EPERM', /let the service's user write/],
    ['ETIMEDOUT', /hangs.*dmesg/],
    ['ENOTDIR', /ls -ld \/var\/log\/checkvalve/],
  ] as const) {
    t.match(textFor(code), advice)
    t.match(
      textFor(code),
      new RegExp(`^the block log ${PATH} cannot be written: ${code}: so it is; verdicts go on`),
    )
  }
  t.match(
    textFor('EPIPE', 'stdout'),
    /^the block log on standard output .*the program that reads it still runs/,
  )
})

t.test('a log that cannot be opened at the start is reported with the remedy', async (t) => {
  const error = (code: string) => Object.assign(new Error(`${code}: so it is`), { code })
  t.match(startText(error('EACCES')), /\(EACCES: so it is\): let this user write there/)
  t.match(startText(error('ELOOP')), /\(ELOOP: so it is\): a symbolic link is there.*remove it/)
})

t.test('when the log works again, the message reports whether lines are missing', async (t) => {
  t.match(recoveryText(PATH, 0), /is written again: no line is lost$/)
  t.match(recoveryText(PATH, 7), /is written again: 7 lines are lost, their blocks are counted in one line$/)
  t.match(lossText(PATH, 7), /could not be written to the end: 7 lines are lost$/)
})
