import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readState } from '../../src/names/state-file.js'
import { StateKeeper } from '../../src/names/state-saver.js'
import { host } from './addresses.js'

const NOW = 1_800_000_000_000
const HOUR = 3600 * 1000

/** A keeper of one name, whose state says how often it was asked for. */
function keeping(t: Test, directory = t.testdir()) {
  const state = { directory, asked: 0, errors: [] as string[], keeper: undefined as unknown as StateKeeper }
  state.keeper = new StateKeeper(
    directory,
    () => {
      state.asked++
      const name = `n${state.asked}.example.org`
      return { names: new Map([[name, [{ host: host('198.51.100.1'), expires: NOW }]]]), services: new Map() }
    },
    (error) => state.errors.push(error.message),
  )
  return Object.assign(state, { kept: () => [...readState(directory).names.keys()] })
}

t.test('what has changed is written, once', async (t) => {
  const its = keeping(t)
  its.keeper.change()
  its.keeper.change()
  await its.keeper.write()
  await its.keeper.write()
  t.same([its.asked, its.kept()], [1, ['n1.example.org']])
})

t.test('without a change it is written each hour: times go on', async (t) => {
  const its = keeping(t)
  await its.keeper.tick(Date.now())
  await its.keeper.tick(Date.now() + HOUR / 2)
  t.equal(its.asked, 1)
  await its.keeper.tick(Date.now() + HOUR + 1000)
  t.equal(its.asked, 2)
})

t.test('the end writes what is new, however short ago it was written', async (t) => {
  const its = keeping(t)
  its.keeper.change()
  await its.keeper.write()
  its.keeper.change()
  await its.keeper.write()
  t.same(its.kept(), ['n2.example.org'])
})

t.test('writes at the same time take turns, and the last state is the one that stays', async (t) => {
  const its = keeping(t)
  const writes = Array.from({ length: 10 }, () => {
    its.keeper.change()
    return its.keeper.write()
  })
  await Promise.all(writes)
  t.same(its.kept(), [`n${its.asked}.example.org`])
  t.same(readdirSync(its.directory), ['addresses.json'])
})

t.test('a change while it is written is written after that', async (t) => {
  const its = keeping(t)
  its.keeper.change()
  const written = its.keeper.write()
  await Promise.resolve()
  its.keeper.change()
  await written
  await its.keeper.write()
  t.equal(its.asked, 2)
})

t.test('trouble is told once, and tried again after some time until it is over', async (t) => {
  const its = keeping(t)
  const obstacle = join(its.directory, 'addresses.json.new')
  mkdirSync(obstacle)
  its.keeper.change()
  for (let i = 0; i < 3; i++) await its.keeper.tick(Date.now() + i * 60_000)
  t.equal(its.asked, 3)
  t.equal(its.errors.length, 1)
  await its.keeper.tick(Date.now() + 5000)
  t.equal(its.asked, 3, 'not each second')
  rmdirSync(obstacle)
  await its.keeper.tick(Date.now() + 60_000)
  t.same(its.kept(), ['n4.example.org'])
  mkdirSync(obstacle)
  its.keeper.change()
  await its.keeper.write()
  t.equal(its.errors.length, 2, 'new trouble is told')
})
