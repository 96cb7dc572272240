/**
 * How tight holds are: recorded calls, held over used, before anything was learnt and after. Needs the recordings beside
 * the repository.
 *
 *   node src/bootstrap.js bench/holds.ts [--rounds 100] [--seed 1]
 */
import { parseArgs } from 'node:util'
import { haveRecordings } from '../test/recordings/recordings.ts'
import { type HoldFigures, type HoldPlan, recordedCalls, replay } from './hold-accuracy.ts'
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
