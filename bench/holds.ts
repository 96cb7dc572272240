/**
 * How tight holds are: recorded calls, held over used, before anything was learnt and after. Needs the recordings beside
 * the repository.
 *
 *   node src/bootstrap.js bench/holds.ts [--rounds 100] [--seed 1]
 */
import { parseArgs } from 'node:util'
import { HoldSizing } from '../src/http/hold-sizing.ts'
import { haveRecordings } from '../test/recordings/recordings.ts'
import { type HoldFigures, type HoldPlan, type RecordedCall, recordedCalls, replay } from './hold-accuracy.ts'
import { printTable } from './print.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' } },
})
const rounds = Number(values.rounds)
const seed = Number(values.seed)

if (!haveRecordings) {
  console.log('There are no recordings beside the repository: nothing to measure.')
  process.exit(0)
}
const calls = await recordedCalls()
const tokenizers = calls.filter((call) => call.exactTokens !== undefined)
/** Half of the calls, by the order of their names: no request of one half is in the other. */
const odd = new Set(calls.filter((_, i) => i % 2 === 1).map((call) => call.id))

const HIGH: HoldPlan = { input: 'worst', output: 'ceiling', tokenizer: 'high' }
const USUAL: HoldPlan = { ...HIGH, tokenizer: 'estimate' }
const P99: HoldPlan = { ...USUAL, output: 'p99' }
const EXACT: HoldPlan = { ...P99, tokenizer: 'exact' }

const last = (figures: readonly HoldFigures[]): HoldFigures => figures.at(-1) as HoldFigures
const rows: [string, HoldFigures][] = [
  ['safe count, whole limit (before)', last(replay(calls, { hold: HIGH, rounds: 1, seed }))],
  ['estimate, whole limit (default)', last(replay(calls, { hold: USUAL, rounds, seed }))],
  ['estimate, p99', last(replay(calls, { hold: P99, rounds, seed }))],
  ['OpenAI alone: safe count, whole limit', last(replay(tokenizers, { hold: HIGH, rounds: 1, seed }))],
  ['OpenAI alone: estimate, p99', last(replay(tokenizers, { hold: P99, rounds, seed }))],
  ['OpenAI alone: exact, p99', last(replay(tokenizers, { hold: EXACT, rounds, seed }))],
  [
    'estimate, calls never learnt from',
    last(
      replay(calls, {
        hold: USUAL,
        rounds: Math.min(rounds, 30),
        seed,
        learnt: (call) => !odd.has(call.id),
        measured: (call) => odd.has(call.id),
      }),
    ),
  ],
]

console.log(`${calls.length} recorded calls with stated usage and visible input; ${rounds} rounds, seed ${seed}`)
printTable(
  'Recorded calls',
  ['hold', 'calls', 'held/charged', 'p95', 'input', 'p95', 'output', 'p95', 'input under', 'output beyond'],
  rows.map(([name, f]) => [
    name,
    String(f.calls),
    ...[f.money, f.input, f.output].flatMap(({ median, p95 }) => [median.toFixed(2), p95.toFixed(2)]),
    `${(100 * f.underestimated).toFixed(2)} %`,
    `${(100 * f.beyond).toFixed(2)} %`,
  ]),
)

const CALLS = 200_000
const COST_ROUNDS = 7

/** CPU of sizing a hold and of learning from it, in microseconds a call: the median of some rounds. */
function cost(hold: HoldPlan): readonly [size: string, learn: string] {
  const sizing = new HoldSizing()
  const [recorded] = calls as [RecordedCall]
  const read = { ...recorded.read, plan: { ...recorded.read.plan, hold } }
  const input = sizing.input(read)
  const learnt = { ...read, input, ceiling: { limitTokens: 1000 } as never, trimmedTo: undefined }
  const size = medianMicros(() => {
    sizing.input(read)
    sizing.output(read, 1000)
  })
  const learn = medianMicros(() => sizing.learn(learnt, recorded.usage))
  return [size.toFixed(2), learn.toFixed(2)]
}

function medianMicros(work: () => unknown): number {
  const rounds = Array.from({ length: COST_ROUNDS }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < CALLS; i++) work()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / CALLS
  })
  return rounds.toSorted((a, b) => a - b)[COST_ROUNDS >> 1] as number
}

printTable(
  'CPU a call, µs',
  ['hold', 'sizing', 'learning'],
  [
    ['estimate, ceiling (default)', ...cost(USUAL)],
    ['estimate, p99, recent', ...cost({ ...P99, input: 'recent' })],
  ],
)
