/** Holds of the recorded calls against what they were billed: never below it for more than 1 call in 100, and not far above. */
import { describe, expect, test } from 'vitest'
import { type HoldPlan, recordedCalls, replay } from '../../bench/hold-accuracy.ts'
import { haveRecordings, RECORDINGS_DIR } from './recordings.ts'

if (!haveRecordings) console.warn(`no recordings at ${RECORDINGS_DIR}: how well holds fit is not shown`)

const ROUNDS = 40
const SEEDS = [1, 2, 3]
const calls = haveRecordings ? await recordedCalls() : []
const hold = (more: Partial<HoldPlan>): HoldPlan => ({
  input: 'worst',
  output: 'ceiling',
  tokenizer: 'estimate',
  ...more,
})

describe.skipIf(!haveRecordings)('holds of recorded calls', () => {
  test('there are enough of them', () => {
    expect(calls.length).toBeGreaterThan(400)
  })

  test.each(SEEDS)('estimate: in no round is the input of more than 1 call in 100 above its hold (seed %i)', (seed) => {
    for (const round of replay(calls, { hold: hold({}), rounds: ROUNDS, seed }))
      expect(round.underestimated).toBeLessThanOrEqual(0.01)
  })

  test('estimate: what was held three times too high is held at less than twice, once it was learnt', () => {
    const rounds = replay(calls, { hold: hold({}), rounds: ROUNDS, seed: 1 })
    expect(rounds[0]?.input.median).toBeGreaterThan(2.5)
    expect(rounds.at(-1)?.input.median).toBeLessThan(1.75)
    expect(rounds.at(-1)?.input.p95).toBeLessThan(6)
  })

  test('high: never below, learnt or not', () => {
    for (const round of replay(calls, { hold: hold({ tokenizer: 'high' }), rounds: 2, seed: 1 }))
      expect(round.underestimated).toBeLessThanOrEqual(0.002)
  })

  test('exact: from the first round on, for the models that have a tokenizer', () => {
    const own = calls.filter((call) => call.exactTokens !== undefined)
    expect(own.length).toBeGreaterThan(100)
    const [first] = replay(own, { hold: hold({ tokenizer: 'exact' }), rounds: 1, seed: 1 })
    expect(first?.underestimated).toBeLessThanOrEqual(0.01)
    expect(first?.input.median).toBeLessThan(2.5)
  })

  test('p99: output is held at what such calls come to, and few go beyond', () => {
    const rounds = replay(calls, { hold: hold({ output: 'p99' }), rounds: 80, seed: 1 })
    const before = rounds[0]
    const after = rounds.at(-1)
    expect(after?.output.median).toBeLessThan((before?.output.median ?? 0) / 10)
    expect(after?.money.median).toBeLessThan((before?.money.median ?? 0) / 10)
    expect(after?.beyond).toBeLessThanOrEqual(0.02)
  })
})
