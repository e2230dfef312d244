import t from 'tap'
import { type Pressure, pressureOf } from '../../../src/core/ruleset/conntrack-pressure.js'

/** Returns the pressure at each of these percentages, in their order. */
function pressures(...percent: number[]): Pressure[] {
  let pressure: Pressure = 'none'
  return percent.map((each) => {
    pressure = pressureOf(each * 1000, 100_000, pressure)
    return pressure
  })
}

t.test('the pressure rises with the number of tracked connections', async (t) => {
  t.same(pressures(0, 74, 75, 94, 95, 100, 120), ['none', 'none', 'high', 'high', 'full', 'full', 'full'])
  t.same(pressures(100), ['full'])
})

t.test('the pressure ends only well below the limit', async (t) => {
  t.same(pressures(75, 74, 50, 49, 74, 75), ['high', 'high', 'high', 'none', 'none', 'high'])
  t.same(pressures(95, 94, 75, 50, 49), ['full', 'full', 'full', 'full', 'none'])
})

t.test('without a limit there is no pressure', async (t) => {
  t.equal(pressureOf(1_000_000, 0, 'full'), 'none')
})
