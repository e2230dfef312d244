/** Tests the queue rules of xtables as the kernel lists them. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Namespace } from '../lab/namespace.js'
import { NODE } from './service.js'

const XTABLES = fileURLToPath(new URL('../../src/kernel/nftables/xtables.js', import.meta.url))
const MARKS = fileURLToPath(new URL('../../src/core/ruleset/marks.js', import.meta.url))

/** CALL NAME: calls a function of xtables.ts with the rules, and prints what it returns. */
const CALL = `const [xtables, marks, name] = process.argv.slice(1)
const { marksOf } = await import(marks)
const { queueRules, ...calls } = await import(xtables)
console.log(await calls[name](queueRules(marksOf(0x3f000000, 1), { first: 100, count: 2 })))`

const OWN = '-A OUTPUT -p tcp -m tcp --dport 25 -j DROP'
const ALL =
  'OUTPUT -m mark --mark 0x20000000/0x32000000 -j NFQUEUE --queue-balance 100:101 --queue-bypass --queue-cpu-fanout'
const QUESTIONS = 'OUTPUT -m mark --mark 0x22000000/0x32000000 -j NFQUEUE --queue-num 102 --queue-bypass'
const ANSWERS = 'PREROUTING -m mark --mark 0x22000000/0x32000000 -j NFQUEUE --queue-num 103 --queue-bypass'
const LOADED = [`-A ${ANSWERS}`, `-A ${QUESTIONS}`, `-A ${ALL}`, OWN]

t.test(
  'queue rules are loaded once and before other rules, missing ones are added, and all copies are removed',
  async (t) => {
    await using place = await Namespace.create('web')
    const call = async (name: string) =>
      (await place.run([...NODE, '--input-type=module', '-e', CALL, XTABLES, MARKS, name])).stdout.trim()
    const iptables = (program: string, table: string, verb: string, rule: string) =>
      place.run([program, '-t', table, verb, ...rule.split(' ')])
    /** Returns all rules, those of the table mangle first. */
    const rules = async (program: string) => {
      const tables = (await place.run([`${program}-save`])).stdout.split('*').sort()
      return tables.reverse().flatMap((table) => table.split('\n').filter((line) => line.startsWith('-A')))
    }
    const programs = ['iptables', 'ip6tables']
    for (const program of programs) await iptables(program, 'filter', '-A', OWN.slice(3))

    t.equal(await call('haveQueueRules'), 'false')
    await call('addQueueRules')
    for (const program of programs) t.same(await rules(program), LOADED, program)
    t.equal(await call('haveQueueRules'), 'true')
    await call('addQueueRules')
    for (const program of programs) t.same(await rules(program), LOADED, `${program}: each rule once`)

    await iptables('ip6tables', 'filter', '-D', QUESTIONS)
    t.equal(await call('haveQueueRules'), 'false', 'a rule is missing in one family')
    await call('addQueueRules')
    t.same(await rules('ip6tables'), LOADED)
    t.same(await rules('iptables'), LOADED)

    await iptables('iptables', 'filter', '-A', QUESTIONS)
    await iptables('iptables', 'mangle', '-D', ANSWERS)
    const others = 'OUTPUT -p udp -j NFQUEUE --queue-num 9'
    await iptables('iptables', 'filter', '-A', others)
    await call('removeQueueRules')
    t.same(await rules('iptables'), [OWN, `-A ${others}`])
    t.same(await rules('ip6tables'), [OWN])
  },
)
