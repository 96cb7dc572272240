/**
 * Short histories that chance hardly comes to, each named after what it shows: played like those of cases.ts, in which every
 * answer, what is kept and the whole ledger are compared with the model.
 */
import { newId } from '../../src/core/ids.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import type { FixedCase } from './cases.ts'
import { START_MS } from './random-steps.ts'
import type { Requests, Step } from './steps.ts'

const DAY_MS = 86_400_000

let ids = 0
/** In the order in which they are made, and the same each time. */
const idAt = (atMs: number): string => `${newId(atMs).slice(0, 10)}${String(++ids).padStart(16, '0')}`

function call(atMs: number, fixedAtoms: bigint, more: Partial<HoldRequest> = {}): HoldRequest {
  return {
    id: idAt(atMs),
    account: 'a',
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'postpaid' },
    overflowPeriod: '',
    observe: false,
    facts: { model: 'm', upstream: 'u', endpoint: 'chat', key: 'k', run: undefined, user: undefined, labels: {} },
    floorAtoms: 0n,
    priceVersion: 'v1',
    onTimeout: 'known',
    fixedAtoms,
    perTokenAtoms: 0n,
    leastTokens: 0,
    wantTokens: 0,
    totalTokens: 0,
    deadlineMs: 60_000,
    dryRun: false,
    info: '{}',
    ...more,
  }
}

const hold = (atMs: number, request: HoldRequest): Step => ({ kind: 'hold', atMs, request })
const settle = (
  atMs: number,
  terms: HoldRequest,
  finalAtoms: bigint,
  finals: Requests['settle']['finals'] = {},
): Step => ({ kind: 'settle', atMs, request: { terms, finalAtoms, finals, info: '{}' } })
const checkpoint = (atMs: number, { id }: HoldRequest, more: Partial<Requests['checkpoint']> = {}): Step => ({
  kind: 'checkpoint',
  atMs,
  request: {
    id,
    account: 'a',
    number: 1,
    cumulativeAtoms: 0n,
    amounts: [],
    deadlineMs: 60_000,
    extend: { perTokenAtoms: 0n, leastTokens: 1, wantTokens: 1 },
    ...more,
  },
})
const sweep = (atMs: number): Step => ({ kind: 'sweep', atMs, request: null })

function budget(measure: string, limit: bigint, more: Partial<BudgetCount> = {}): BudgetCount {
  return {
    name: 'b',
    field: `b~${measure}~lifetime~`,
    measure,
    limit,
    action: 'block',
    lifeMs: 0,
    group: '',
    valuesMax: 1,
    window: { kind: 'lifetime' },
    ...more,
  }
}

const PART_MS = 143
/** Seven parts, and one millisecond less. */
const rolling = (measure: string, limit: bigint, more: Partial<BudgetCount> = {}): BudgetCount =>
  budget(measure, limit, {
    field: `b~${measure}~rolling1000~`,
    window: { kind: 'rolling', lengthMs: 1000, partMs: PART_MS },
    lifeMs: 10_000,
    ...more,
  })
/** Where a part of it begins. */
const PART_AT = START_MS - (START_MS % PART_MS) + PART_MS

const calendar = (atMs: number, lengthMs: number, more: Partial<BudgetCount> = {}): BudgetCount => {
  const start = atMs - (atMs % lengthMs)
  return budget('USD', 1000n, {
    field: `b~USD~calendar${lengthMs}~`,
    window: { kind: 'calendar', bounds: [start - lengthMs, start, start + lengthMs, start + 2 * lengthMs] },
    lifeMs: 10 * DAY_MS,
    ...more,
  })
}

function partLeavesBesideTheNewest(): FixedCase {
  const budgets = [rolling('USD', 100n)]
  const leavesAt = PART_AT + PART_MS + 1000
  const newestAt = leavesAt - 142
  const of = (atMs: number, atoms: bigint) => call(atMs, atoms, { budgets })
  return {
    name: 'a part of a rolling window counts up to the millisecond in which it leaves, while the newest part goes on',
    steps: [
      hold(PART_AT, of(PART_AT, 60n)),
      hold(newestAt, of(newestAt, 10n)),
      hold(leavesAt - 1, of(leavesAt - 1, 40n)),
      hold(leavesAt, of(leavesAt, 40n)),
    ],
  }
}

function heldInAnOlderPart(): FixedCase {
  const budgets = [rolling('USD', 100n)]
  const [first, second] = [PART_AT, PART_AT + PART_MS]
  const of = (atMs: number, atoms: bigint) => call(atMs, atoms, { budgets })
  return {
    name: 'what open calls hold in an older part of a rolling window takes room like that of the newest',
    steps: [
      hold(first, of(first, 30n)),
      hold(second, of(second, 30n)),
      hold(second, of(second, 41n)),
      hold(second, of(second, 40n)),
    ],
  }
}

function countedLongAgo(): FixedCase {
  const budgets = [rolling('USD', 20n, { action: 'flag' })]
  const orphan = () => call(PART_AT, 0n, { budgets })
  return {
    name: 'a call that ended without a hold counts nothing in a part that has left the window since',
    steps: [
      hold(PART_AT, call(PART_AT, 10n, { budgets })),
      settle(PART_AT + 3000, orphan(), 15n),
      settle(PART_AT + 3000, orphan(), 15n),
    ],
  }
}

function windowAhead(): FixedCase {
  const HOUR_MS = 3_600_000
  const atMs = START_MS - (START_MS % HOUR_MS) + HOUR_MS - 1
  const budgets = [calendar(atMs, HOUR_MS)]
  return {
    name: 'a call of a gateway whose clock is ahead counts in the next window, those after it in their own',
    steps: [settle(atMs, call(atMs + 1000, 0n, { budgets }), 600n), hold(atMs, call(atMs, 500n, { budgets }))],
  }
}

function heldOfNothing(): FixedCase {
  const lifeMs = 2000
  const values = { field: 'b~tokens~lifetime~run~r', group: 'b~tokens', valuesMax: 5, lifeMs }
  const budgets = [budget('tokens', 1000n, values), budget('USD', 1000n, { name: 'c', field: 'c~USD~lifetime~' })]
  const amounts = (fixed: bigint) => [{ measure: 'tokens', fixed, perToken: 0n, floor: 0n }]
  const first = call(START_MS, 5n, { budgets, amounts: amounts(0n) })
  const later = START_MS + lifeMs
  return {
    name: 'the end of a call that holds nothing of a counter finds the one that came in its place',
    steps: [
      hold(START_MS, first),
      sweep(later),
      hold(later, call(later, 5n, { budgets, amounts: amounts(1n) })),
      settle(later, first, 5n, { tokens: 77n }),
    ],
  }
}

function endsAfterItsCounter(): FixedCase {
  const lifeMs = 2000
  const values = { field: 'b~tokens~lifetime~run~r', group: 'b~tokens', valuesMax: 5, lifeMs }
  const budgets = [budget('tokens', 1000n, values)]
  const amounts = [{ measure: 'tokens', fixed: 0n, perToken: 0n, floor: 0n }]
  return {
    name: 'a call that times out in the sweep in which its counter ended counts nothing there any more',
    steps: [
      hold(START_MS, call(START_MS, 5n, { budgets, amounts, deadlineMs: 2 * lifeMs })),
      sweep(START_MS + 2 * lifeMs),
    ],
  }
}

function endsWithoutItsCounter(): FixedCase {
  const lifeMs = 2000
  const values = { field: 'b~tokens~lifetime~run~r', group: 'b~tokens', valuesMax: 5, lifeMs }
  const budgets = [budget('tokens', 1000n, values)]
  const amounts = [{ measure: 'tokens', fixed: 0n, perToken: 0n, floor: 0n }]
  const open = call(START_MS, 5n, { budgets, amounts })
  const [later, end] = [START_MS + lifeMs, START_MS + 2 * lifeMs]
  return {
    name: 'the end of a call whose counters are all gone says nothing of budgets, nor does a further slice',
    steps: [
      hold(START_MS, open),
      sweep(later),
      checkpoint(later, open, { amounts: [{ measure: 'tokens', known: 4n, perToken: 1n }] }),
      settle(end, open, 5n, { tokens: 77n }),
    ],
  }
}

/** Settled a day after the end of the window in which it was held, to the millisecond; `between`: another window is counted in. */
function endsADayAfterItsWindow(between: boolean, laterMs: number): FixedCase {
  const HOUR_MS = 3_600_000
  const atMs = START_MS - (START_MS % HOUR_MS) + 10
  const budgets = (of: number) => [calendar(of, HOUR_MS)]
  const open = call(atMs, 10n, { budgets: budgets(atMs), deadlineMs: 3 * DAY_MS })
  const nextMs = atMs + HOUR_MS
  const other = call(nextMs, 20n, { budgets: budgets(nextMs) })
  const end = atMs - 10 + HOUR_MS + DAY_MS + laterMs
  return {
    name: `the end of a call ${laterMs} ms off a day after its window, ${between ? 'with a later one' : 'the last one counted in'}`,
    steps: [
      hold(atMs, open),
      ...(between ? [hold(nextMs, other), settle(nextMs, other, 15n)] : []),
      settle(end, open, 7n),
    ],
  }
}

export const RARE_CASES: readonly FixedCase[] = [
  partLeavesBesideTheNewest(),
  heldInAnOlderPart(),
  countedLongAgo(),
  windowAhead(),
  heldOfNothing(),
  endsAfterItsCounter(),
  endsWithoutItsCounter(),
  ...[-1, 0].flatMap((laterMs) => [true, false].map((between) => endsADayAfterItsWindow(between, laterMs))),
]
