/** Calls as a gateway makes them: their holds, their settlements, and accounts with grants to pay for them. */
import { newId } from '../src/core/ids.ts'
import { boundedRaw } from '../src/core/usage-fields.ts'
import type { BudgetCount, GrantRequest, HoldRequest, SettleRequest } from '../src/wallet/wallet-types.ts'
import { OPENAI_USAGE } from './traffic.ts'

const CALL = { key: 'bench', upstream: 'openai', model: 'gpt-bench', endpoint: 'chat' }
const INFO = JSON.stringify(CALL)
/** As src/http/settle-info.ts writes it. */
const SETTLE_INFO = JSON.stringify({
  ...CALL,
  provider_request_id: 'chatcmpl-BxW3kq0Zr1dPnVtL8mYc2sGhJ4eUa',
  answered_model: 'gpt-bench-2026-01-01',
  tokens: { input: 192, output: 160 },
  usage_source: 'provider',
  usage: boundedRaw(OPENAI_USAGE),
  price_version: '2026-01-01',
  cost: '0.000368',
  cost_unit: 'USD',
  status: 200,
  duration_ms: 900,
  ttfb_ms: 300,
})

const DAY_MS = 86_400_000
const day = Math.floor(Date.now() / DAY_MS) * DAY_MS

/** A lifetime of money, a day of money, an hour of tokens, calls at once: one of each kind of window, over and over. */
export function sampleBudgets(count: number): readonly BudgetCount[] {
  const kinds = [
    (n: string) => budget(`all${n}`, 'USD', 'lifetime', { kind: 'lifetime' }),
    (n: string) =>
      budget(`daily${n}`, 'USD', 'day', {
        kind: 'calendar',
        bounds: [day - DAY_MS, day, day + DAY_MS, day + 2 * DAY_MS],
      }),
    (n: string) =>
      budget(`hourly${n}`, 'tokens', 'rolling3600000', { kind: 'rolling', lengthMs: 3_600_000, partMs: 300_000 }),
    (n: string) => budget(`at-once${n}`, 'concurrent', 'lifetime', { kind: 'lifetime' }),
  ] as const
  return Array.from({ length: count }, (_, i) => (kinds[i % 4] as (typeof kinds)[number])(String(i >> 2)))
}

function budget(name: string, measure: string, window: string, around: BudgetCount['window']): BudgetCount {
  return {
    name,
    field: `${name}~${measure}~${window}~account~bench`,
    measure,
    limit: 1_000_000_000_000_000n,
    action: 'block',
    lifeMs: 35 * DAY_MS,
    group: '',
    valuesMax: 0,
    window: around,
  }
}

export function sampleHold(account: string, budgets: readonly BudgetCount[]): HoldRequest {
  return {
    id: newId(Date.now()),
    account,
    unit: 'USD',
    scale: 9,
    onExhausted: { mode: 'block' },
    overflowPeriod: '',
    observe: false,
    ...(budgets.length > 0 && {
      budgets,
      amounts: [{ measure: 'tokens', fixed: 192n, perToken: 1n, floor: 100n }],
    }),
    facts: {
      model: 'gpt-bench',
      upstream: 'openai',
      endpoint: 'chat',
      key: 'bench',
      run: undefined,
      user: undefined,
      labels: {},
    },
    floorAtoms: 40_000n,
    priceVersion: '2026-01-01',
    onTimeout: 'known',
    fixedAtoms: 100_000n,
    perTokenAtoms: 2_000n,
    leastTokens: 256,
    wantTokens: 256,
    totalTokens: 256,
    deadlineMs: 600_000,
    dryRun: false,
    info: INFO,
  }
}

export function sampleSettle(terms: HoldRequest): SettleRequest {
  return { terms, finalAtoms: 368_000n, info: SETTLE_INFO, ...(terms.budgets && { finals: { tokens: 352n } }) }
}

export function sampleGrant(account: string, amountAtoms: bigint, priority: number): GrantRequest {
  const id = newId(Date.now())
  return {
    account,
    operationId: id,
    id,
    key: undefined,
    unit: 'USD',
    scale: 9,
    amountAtoms,
    funding: 'invoiced',
    priority,
    effectiveAtMs: undefined,
    expiresAtMs: undefined,
    appliesTo: undefined,
    costBasis: undefined,
    repaysDebt: undefined,
    labels: {},
    actor: 'bench',
  }
}
