import t from 'tap'
import type { Policy } from '../../../src/core/policy/policy.js'
import type { Rule } from '../../../src/core/policy/rule.js'
import { quickPolicy } from '../../../src/kernel/nftables/quick-policy.js'

const ruleWith = (prefixes: number) => ({ spec: { prefixes: Array(prefixes).fill({}) } }) as unknown as Rule
const policyOf = (...sizes: number[]) => ({ rules: sizes.map(ruleWith) }) as unknown as Policy
const sizesOf = (policy: Policy) => policy.rules.map(({ spec }) => spec.prefixes.length)

t.test('a policy of few prefixes is loaded whole', async (t) => {
  const policy = policyOf(0, 499, 1)
  t.equal(quickPolicy(policy), policy)
})

t.test('rules with many prefixes are left out, and all rules together have few', async (t) => {
  t.same(sizesOf(quickPolicy(policyOf(10_000, 3, 0, 501))), [3, 0])
  t.same(sizesOf(quickPolicy(policyOf(300, 300, 200, 1))), [300, 200])
})
