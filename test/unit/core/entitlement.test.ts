import { expect, test } from 'vitest'
import { decideEntitlement, type EntitlementFacts, missingRequired } from '../../../src/core/entitlement.ts'

const PRO = { name: 'pro', models: ['gpt-*', 'claude-*'], endpoints: ['chat', 'messages'] }
const ALL = { name: 'all', models: ['*'], endpoints: undefined }

test.each<[string, typeof PRO | typeof ALL, Partial<EntitlementFacts>, string | undefined]>([
  ['a model and an endpoint of the plan', PRO, {}, undefined],
  ['another model', PRO, { model: 'o5' }, 'plan.models'],
  ['another endpoint', PRO, { endpoint: 'embeddings' }, 'plan.endpoints'],
  ['a free endpoint is always allowed', PRO, { endpoint: 'count_tokens', model: 'o5', free: true }, undefined],
  ['no model where only some are allowed', PRO, { model: undefined }, 'plan.models'],
  ['no model where all are allowed', ALL, { model: undefined }, undefined],
  ['anything where all is allowed', ALL, { model: 'x/y', endpoint: 'responses' }, undefined],
  ['nothing is allowed', { ...PRO, models: [] }, {}, 'plan.models'],
  ['no endpoint is allowed', { ...PRO, endpoints: [] }, {}, 'plan.endpoints'],
])('entitlement: %s', (_, plan, more, rule) => {
  const decision = decideEntitlement(plan, { model: 'gpt-5', endpoint: 'chat', free: false, ...more })
  expect(decision?.rule).toBe(rule)
  expect(decision?.code).toBe(rule === undefined ? undefined : 'not_entitled')
})

test('a refusal names the plan, what was asked and what is allowed, at a bounded length', () => {
  const decision = decideEntitlement(PRO, { model: `o5${'x'.repeat(10_000)}`, endpoint: 'chat', free: false })
  expect(decision?.message).toMatch(/^Plan "pro" does not include model "o5x{126}…"; it allows gpt-\*, claude-\*\.$/)
})

test.each<[string[], { run?: string; user?: string; labels?: Record<string, string> }, string | undefined]>([
  [[], {}, undefined],
  [['run'], {}, 'run'],
  [['run'], { run: 'r1' }, undefined],
  [['run', 'user'], { run: 'r1' }, 'user'],
  [['team'], { labels: { team: 'a' } }, undefined],
  [['team'], { run: 'r1' }, 'team'],
  [['toString'], {}, 'toString'],
  [['run'], { labels: { run: 'not the run' } }, 'run'],
])('a plan that requires %j with %j lacks %s', (required, { run, user, labels = {} }, missing) => {
  expect(missingRequired(required, { run, user, labels })).toBe(missing)
})
