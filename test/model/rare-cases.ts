/**
 * Short histories that chance hardly comes to, each named after what it shows: played like those of cases.ts, in which every
 * answer, what is kept and the whole ledger are compared with the model.
 */
import { newId } from '../../src/core/ids.ts'
import { ATOMS_MAX } from '../../src/core/money.ts'
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

/** Two parts that calls without a hold have filled: together more than a number holds. */
function partsBeyondANumber(): FixedCase {
  const budgets = [budget('USD', 1n), rolling('EUR', ATOMS_MAX, { name: 'c', field: 'c~EUR~rolling1000~' })]
  const spend = (atMs: number, atoms: bigint, counted: bigint): Step =>
    settle(atMs, call(atMs, 0n, { budgets }), atoms, { EUR: counted })
  const of = (atMs: number, atoms: bigint, counted: bigint) =>
    hold(atMs, call(atMs, atoms, { budgets, amounts: [{ measure: 'EUR', fixed: counted, perToken: 0n, floor: 0n }] }))
  const [third, fourth] = [PART_AT + 2 * PART_MS, PART_AT + 3 * PART_MS]
  return {
    name: 'where parts of a window come to more than a number holds, a call that takes nothing of it is held, and no budget is told that refuses nothing',
    steps: [
      spend(PART_AT, 0n, ATOMS_MAX),
      spend(PART_AT + PART_MS, 0n, ATOMS_MAX),
      spend(third, 1n, 0n),
      of(third, 0n, 0n),
      of(third, 1n, 0n),
      of(fourth, 1n, 0n),
      of(fourth, 0n, 1n),
      of(fourth, 0n, 0n),
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

const value = (run: string, lifeMs: number, more: Partial<BudgetCount> = {}): BudgetCount =>
  budget('tokens', 1000n, { field: `b~tokens~lifetime~run~${run}`, group: 'b~tokens', valuesMax: 5, lifeMs, ...more })
const tokens = (fixed: bigint, floor = 0n) => [{ measure: 'tokens', fixed, perToken: 0n, floor }]
/** Of a further slice: what a token takes of the wallet, and of the budgets' other measures. */
const slice = (
  leastTokens: number,
  wantTokens: number,
  perToken: Readonly<Record<string, bigint>> = {},
  perTokenAtoms = 0n,
): Partial<Requests['checkpoint']> => ({
  amounts: Object.entries(perToken).map(([measure, each]) => ({ measure, known: 0n, perToken: each })),
  extend: { perTokenAtoms, leastTokens, wantTokens },
})

function lateAfterItsCounter(): FixedCase {
  const lifeMs = 2000
  const budgets = [value('r', lifeMs)]
  const open = call(START_MS, 5n, { budgets, amounts: tokens(10n), deadlineMs: 10, onTimeout: 'full' })
  const [end, gone] = [START_MS + 10, START_MS + 10 + lifeMs]
  return {
    name: 'the late end of a call counts in what came in the place of its counter',
    steps: [
      hold(START_MS, open),
      sweep(end),
      sweep(gone),
      hold(gone, call(gone, 5n, { budgets, amounts: tokens(1n) })),
      settle(gone, open, 5n, { tokens: 14n }),
    ],
  }
}

function sliceOfALeftWindow(atoms: bigint): FixedCase {
  const budgets = [rolling('USD', 100n)]
  const open = call(PART_AT, atoms, { budgets })
  const later = PART_AT + 2000
  return {
    name: `a call of ${atoms} atoms that has left its rolling window is not bound by what counts there now, before it is`,
    steps: [
      hold(PART_AT, open),
      hold(PART_AT, call(PART_AT, 90n - atoms, { budgets })),
      checkpoint(PART_AT, open, { number: 1, ...slice(1, 20, {}, 1n) }),
      hold(later, call(later, 95n, { budgets })),
      checkpoint(later, open, { number: 2, ...slice(1, 20, {}, 1n) }),
    ],
  }
}

/** Two budgets have room for as little: the first is named. Each comes to just what calls that are open may bring back. */
function sliceAtALimit(): FixedCase {
  const budgets = [
    budget('USD', 100n),
    budget('USD', 100n, { name: 'c', field: 'c~USD~lifetime~' }),
    budget('tokens', 1000n, { name: 'd', field: 'd~tokens~lifetime~' }),
  ]
  const of = (atoms: bigint) => call(START_MS, atoms, { budgets, amounts: tokens(0n) })
  const [open, other, spent] = [of(40n), of(20n), of(30n)]
  return {
    name: 'a further slice takes what whole tokens fit, and says which budget has no room and whether open calls are in its way',
    steps: [
      hold(START_MS, open),
      hold(START_MS, other),
      hold(START_MS, spent),
      settle(START_MS, spent, 30n),
      checkpoint(START_MS, open, { number: 1, ...slice(4, 5, { tokens: 0n }, 3n) }),
      checkpoint(START_MS, open, { number: 2, ...slice(1, 5, { tokens: 0n }, 30n) }),
      checkpoint(START_MS, open, { number: 3, ...slice(1, 5, { tokens: 0n }, 31n) }),
      checkpoint(START_MS, open, { number: 4, ...slice(1, 5, { tokens: 0n }, 3n) }),
      checkpoint(START_MS, open, { number: 5, ...slice(1, 5, { tokens: 0n }, 1n) }),
      checkpoint(START_MS, open, { number: 6, ...slice(1, 5, { tokens: 0n }, 1n) }),
      checkpoint(START_MS, open, { number: 7, ...slice(5, 5, { tokens: 0n }, 5n) }),
    ],
  }
}

/** Budgets that flag bound nothing but what a number holds. */
function sliceToTheBrim(perToken: bigint, room: bigint): FixedCase {
  const budgets = [budget('tokens', 1n, { action: 'flag' })]
  const of = (fixed: bigint) => call(START_MS, 0n, { budgets, amounts: tokens(fixed) })
  const [open, held] = [of(10n), of(50n)]
  const most = Number(room / perToken)
  const step = (number: number, wanted: number) =>
    checkpoint(START_MS, open, { number, ...slice(wanted, wanted, { tokens: perToken }) })
  return {
    name: `slices of ${perToken} a token up to the last of ${room} that a counter has room for`,
    steps: [
      hold(START_MS, open),
      hold(START_MS, held),
      settle(START_MS, of(0n), 0n, { tokens: ATOMS_MAX - 60n - room }),
      step(1, most + 1),
      step(2, most),
      step(3, 1),
    ],
  }
}

function sliceBesideAFullCounter(): FixedCase {
  const budgets = [budget('EUR', ATOMS_MAX)]
  const amounts = [{ measure: 'EUR', fixed: ATOMS_MAX, perToken: 0n, floor: 0n }]
  const open = call(START_MS, 0n, { budgets, amounts })
  return {
    name: 'a further slice that takes nothing of a counter that is full is in range',
    steps: [hold(START_MS, open), checkpoint(START_MS, open, slice(1, 20))],
  }
}

function sliceOfAGoneCounter(): FixedCase {
  const lifeMs = 2000
  const open = call(START_MS, 0n, { budgets: [value('r', lifeMs)], amounts: tokens(0n) })
  const later = START_MS + lifeMs
  return {
    name: 'a further slice takes nothing of a counter that is gone, were it as much as a number holds',
    steps: [hold(START_MS, open), sweep(later), checkpoint(later, open, slice(1, 1, { tokens: ATOMS_MAX }))],
  }
}

function knownGoesBack(): FixedCase {
  const budgets = [budget('tokens', 1000n), budget('EUR', 1000n, { name: 'c', field: 'c~EUR~lifetime~' })]
  const amounts = [...tokens(100n, 5n), { measure: 'EUR', fixed: 100n, perToken: 0n, floor: 0n }]
  const open = call(START_MS, 0n, { budgets, amounts, deadlineMs: 10 })
  const known = (number: number, of: bigint) =>
    checkpoint(START_MS, open, {
      number,
      deadlineMs: 10,
      amounts: [{ measure: 'tokens', known: of, perToken: 0n }],
      extend: undefined,
    })
  return {
    name: 'a timeout counts the most that was ever known of a measure, and nothing of one of which nothing was said',
    steps: [hold(START_MS, open), known(1, 50n), known(2, 30n), sweep(START_MS + 10)],
  }
}

function fitsAsSoonAsAPartLeaves(): FixedCase {
  const budgets = [rolling('USD', 100n)]
  const spend = (atMs: number, atoms: bigint): Step => settle(atMs, call(atMs, 0n, { budgets }), atoms)
  const later = PART_AT + 2 * PART_MS
  return {
    name: 'a call that fits exactly once the oldest part has left is told that time',
    steps: [
      spend(PART_AT, 40n),
      spend(PART_AT + PART_MS, 50n),
      hold(later, call(later, 50n, { budgets })),
      hold(later, call(later, 51n, { budgets })),
    ],
  }
}

function openInAnOlderWindow(): FixedCase {
  const HOUR_MS = 3_600_000
  const atMs = START_MS - (START_MS % HOUR_MS) + 10
  const of = (at: number) => call(at, 10n, { budgets: [calendar(at, HOUR_MS)], deadlineMs: 3 * DAY_MS })
  return {
    name: 'a window in which something is held does not leave by time',
    steps: [hold(atMs, of(atMs)), hold(atMs + HOUR_MS, of(atMs + HOUR_MS))],
  }
}

function endsAsAPartLeaves(): FixedCase {
  const budgets = [rolling('USD', 100n)]
  const secondAt = PART_AT + 3 * PART_MS
  const [first, second] = [call(PART_AT, 10n, { budgets }), call(secondAt, 20n, { budgets })]
  const leavesAt = PART_AT + PART_MS + 1000
  return {
    name: 'the end of a call in the millisecond in which an older part of its rolling window leaves',
    steps: [hold(PART_AT, first), hold(secondAt, second), settle(leavesAt, second, 15n)],
  }
}

function nearlyAllValues(valuesMax: number): FixedCase {
  const of = (run: number) =>
    call(START_MS, 0n, { budgets: [value(`r${run}`, 100_000, { valuesMax })], amounts: tokens(1n) })
  return {
    name: `of ${valuesMax} values the first that makes four fifths is told`,
    steps: Array.from({ length: valuesMax + 1 }, (_, run) => hold(START_MS, of(run))),
  }
}

function shortestLife(): FixedCase {
  return {
    name: 'a counter lives a millisecond',
    steps: [hold(START_MS, call(START_MS, 0n, { budgets: [value('r', 1)], amounts: tokens(0n) })), sweep(START_MS + 1)],
  }
}

/** A counter of a lifetime says at its end what was spent in all. */
function spentInALifetime(): FixedCase {
  const lifeMs = 2000
  const open = call(START_MS, 5n, { budgets: [value('r', lifeMs)], amounts: tokens(10n) })
  return {
    name: 'the end of a lifetime counter says what was spent',
    steps: [hold(START_MS, open), settle(START_MS, open, 5n, { tokens: 8n }), sweep(START_MS + lifeMs)],
  }
}

const overflow = (multiplier: string, capAtoms = 1000n): Partial<HoldRequest> => ({
  onExhausted: { mode: 'overflow', capAtoms, period: 'month', multiplier },
  overflowPeriod: '2096-10',
})
const admin = (operation: number) => ({
  account: 'a',
  operationId: `key:${operation}`,
  reason: 'test',
  actor: 'test',
})
const USD = { unit: 'USD', scale: 9 } as const
const adjust = (atMs: number, amountAtoms: bigint): Step => {
  const grantId = idAt(atMs)
  return { kind: 'adjust', atMs, request: { ...admin(ids), ...USD, grantId, amountAtoms } }
}
const closePeriod = (atMs: number, period: string, heir: string): Step => ({
  kind: 'closePeriod',
  atMs,
  request: { ...admin(++ids), unit: 'USD', period, heir, force: true },
})

/** Near the largest amounts a product is exact only as the scripts put it together. */
function mostUnderACap(multiplier: string, capAtoms: bigint, most: bigint): FixedCase {
  const of = (atoms: bigint) => call(START_MS, atoms, overflow(multiplier, capAtoms))
  const last = of(most)
  return {
    name: `${most} atoms are the most at a multiplier of ${multiplier} under a cap of ${capAtoms}`,
    steps: [hold(START_MS, of(most + 1n)), hold(START_MS, last), settle(START_MS, last, most)],
  }
}

/** Times out in overflow, of which part is given back by its own end: of as much at price. */
function givenBackOfOverflow(): FixedCase {
  const open = call(START_MS, 100n, { ...overflow('2.5'), onTimeout: 'full', deadlineMs: 10 })
  const end = START_MS + 10
  return {
    name: 'a late end gives back what overflow counts less at its multiplier, though that is more than it came to at price',
    steps: [hold(START_MS, open), sweep(end), settle(end, open, 90n), settle(end, open, 90n)],
  }
}

/** The period is closed between the hold and its timeout: what was posted is in the one that is open. */
function closedBeforeTheTimeout(): FixedCase {
  const open = call(START_MS, 100n, { ...overflow('1'), onTimeout: 'full', deadlineMs: 10 })
  const end = START_MS + 10
  return {
    name: 'a late end gives back in the period in which its timeout was posted, though the hold was made in one that closed',
    steps: [hold(START_MS, open), closePeriod(START_MS, '2096-10', '2096-11'), sweep(end), settle(end, open, 30n)],
  }
}

function closedAfterTheTimeout(): FixedCase {
  const open = call(START_MS, 100n, { ...overflow('1'), onTimeout: 'full', deadlineMs: 10 })
  const end = START_MS + 10
  return {
    name: 'a late end makes a credit note of what a period that closed since its timeout counts too much',
    steps: [hold(START_MS, open), sweep(end), closePeriod(end, '2096-10', '2096-11'), settle(end, open, 30n)],
  }
}

/** The overage counted nothing, and counts nothing less; what comes back of a grant has no note of a closed period. */
function nothingForgivenOfAClosedPeriod(): FixedCase {
  const grantId = idAt(START_MS)
  const grant: Step = {
    kind: 'adjust',
    atMs: START_MS,
    request: { ...admin(++ids), ...USD, grantId, amountAtoms: 10n },
  }
  const other = call(START_MS, 5n, overflow('1'))
  const open = call(START_MS, 30n, { ...overflow('0'), onTimeout: 'full', deadlineMs: 10 })
  const end = START_MS + 10
  return {
    name: 'a late end that gives nothing back of a closed period makes no note of it',
    steps: [
      grant,
      hold(START_MS, open),
      hold(START_MS, other),
      settle(START_MS, other, 5n),
      sweep(end),
      closePeriod(end, '2096-10', '2096-11'),
      {
        kind: 'clawback',
        atMs: end,
        request: { ...admin(++ids), grant: grantId, amountAtoms: undefined, freeze: false },
      },
      adjust(end, 40n),
      settle(end, open, 0n),
    ],
  }
}

function givenBackBeyondTheBrim(): FixedCase {
  const open = call(START_MS, 100n, { onTimeout: 'full', deadlineMs: 10 })
  const end = START_MS + 10
  return {
    name: 'a late end whose grant has no room for what it gives back is refused, and one that fits is not',
    steps: [
      adjust(START_MS, 100n),
      hold(START_MS, open),
      sweep(end),
      adjust(end, ATOMS_MAX - 10n),
      settle(end, open, 89n),
      settle(end, open, 90n),
    ],
  }
}

/** What is owed, and what is held beside it, is full but for one atom. */
function owedToTheBrim(held: bigint): FixedCase {
  const orphan = (atoms: bigint) => settle(START_MS, call(START_MS, 0n, { onExhausted: { mode: 'block' } }), atoms)
  return {
    name: `a charge of one atom more than may be owed beside ${held} that are held is refused, the last one is not`,
    steps: [hold(START_MS, call(START_MS, held)), orphan(ATOMS_MAX - held - 1n), orphan(1n), orphan(1n)],
  }
}

/** What counts nothing goes as far as anything, but not where nothing at all may go. */
function countsNothing(): FixedCase {
  return {
    name: 'overage at a multiplier of 0 is held under a cap of 1, and refused under a cap of 0',
    steps: [0n, 1n].map((capAtoms) => hold(START_MS, call(START_MS, 10n, overflow('0', capAtoms)))),
  }
}

function endOfTheLateWindow(): FixedCase {
  const orphan = (ageMs: number): Step => settle(START_MS, call(START_MS - ageMs, 0n), 7n)
  return {
    name: 'a call without a hold is charged up to the last millisecond of its late window',
    steps: [orphan(DAY_MS), orphan(DAY_MS + 1)],
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
  lateAfterItsCounter(),
  sliceOfALeftWindow(1n),
  sliceOfALeftWindow(60n),
  sliceAtALimit(),
  sliceToTheBrim(1n, 20n),
  sliceToTheBrim(2n, 41n),
  sliceBesideAFullCounter(),
  sliceOfAGoneCounter(),
  knownGoesBack(),
  fitsAsSoonAsAPartLeaves(),
  openInAnOlderWindow(),
  endsAsAPartLeaves(),
  nearlyAllValues(4),
  nearlyAllValues(5),
  shortestLife(),
  spentInALifetime(),
  partLeavesBesideTheNewest(),
  heldInAnOlderPart(),
  countedLongAgo(),
  partsBeyondANumber(),
  windowAhead(),
  heldOfNothing(),
  endsAfterItsCounter(),
  endsWithoutItsCounter(),
  mostUnderACap('1.000001', 2n, 1n),
  mostUnderACap('0.000001', 400n, 400_000_000n),
  mostUnderACap('1.995215', 9_007_199_254_740_709n, 4_514_400_330_160_262n),
  mostUnderACap('3.445213', 9_007_199_254_740_102n, 2_614_409_981_252_277n),
  givenBackOfOverflow(),
  closedBeforeTheTimeout(),
  closedAfterTheTimeout(),
  nothingForgivenOfAClosedPeriod(),
  givenBackBeyondTheBrim(),
  owedToTheBrim(0n),
  owedToTheBrim(10n),
  countsNothing(),
  endOfTheLateWindow(),
  ...[-1, 0].flatMap((laterMs) => [true, false].map((between) => endsADayAfterItsWindow(between, laterMs))),
]
