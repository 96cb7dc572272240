import type { LowAlert, PlanAlerts } from '../core/alerts.ts'
import { type Allowance, makeAllowance } from '../core/allowance.ts'
import { type Atoms, DEFAULT_SCALE, parseAmount } from '../core/money.ts'
import type { AllowanceFields } from './allowance-schema.ts'
import type { EntitlementsFile, PlanFields, PlanOverrides } from './entitlements-schema.ts'
import type { Account, KeyOwn, OnExhausted, Plan, VirtualKey } from './snapshot.ts'

export interface Entitlements {
  readonly plans: ReadonlyMap<string, Plan>
  readonly planFields: ReadonlyMap<string, PlanFields>
  readonly defaultPlan: Plan | undefined
  readonly accounts: ReadonlyMap<string, Account>
  /** By SHA-256. */
  readonly keys: ReadonlyMap<string, VirtualKey>
}

/**
 * Plans, accounts and keys from a checked entitlements.yaml. An override replaces whole fields; the most specific wins:
 * key, account, plan. Accounts and keys without overrides share their plan's object.
 *
 * `refuse` hears of an amount that does not fit the unit which an override brought: it can be told here alone.
 */
export function buildEntitlements(
  read: EntitlementsFile,
  scales: ReadonlyMap<string, number>,
  refuse: (path: readonly (string | number)[], error: Error) => void,
): Entitlements {
  const plans = new Map<string, Plan>()
  for (const [name, fields] of Object.entries(read.plans)) plans.set(name, buildPlan(name, fields, scales))

  const accounts = new Map<string, Account>()
  const keys = new Map<string, VirtualKey>()
  for (const [id, entry] of Object.entries(read.accounts)) {
    const fields = read.plans[entry.plan]
    const plan = plans.get(entry.plan)
    if (!fields || !plan) continue
    const resolve = (from: Plan, layers: readonly PlanOverrides[], path: readonly (string | number)[]): Plan => {
      if (isEmpty(layers.at(-1) ?? {})) return from
      try {
        return overridePlan(from, fields, layers, scales)
      } catch (error) {
        refuse(path, error as Error)
        return from
      }
    }
    const accountPlan = resolve(plan, [entry.plan_overrides], ['accounts', id, 'plan_overrides'])
    const overrides = isEmpty(entry.plan_overrides) ? undefined : entry.plan_overrides
    const account: Account = Object.freeze({ id, plan: accountPlan, labels: entry.labels, overrides })
    accounts.set(id, account)
    entry.keys.forEach((key, i) => {
      const path = ['accounts', id, 'keys', i, 'plan_overrides']
      keys.set(
        key.sha256,
        Object.freeze({
          id: key.id,
          sha256: key.sha256,
          account,
          labels: Object.keys(key.labels).length === 0 ? entry.labels : { ...entry.labels, ...key.labels },
          plan: resolve(accountPlan, [entry.plan_overrides, key.plan_overrides], path),
          own: ownOf(key.labels, key.plan_overrides),
          actsFor: key.acts_for.length === 0 ? undefined : key.acts_for,
        }),
      )
    })
  }
  const defaultPlan = plans.get(read.defaults.plan ?? '')
  return { plans, planFields: new Map(Object.entries(read.plans)), defaultPlan, accounts, keys }
}

export function ownOf(labels: KeyOwn['labels'], overrides: PlanOverrides): KeyOwn | undefined {
  return isEmpty(labels) && isEmpty(overrides) ? undefined : { labels, overrides }
}

export function isEmpty(fields: object): boolean {
  return Object.keys(fields).length === 0
}

/**
 * A plan with the overrides of an account, or of an account and of a key (`layers`, in this order) on the plan's fields.
 * `from` is the plan without the last of them. Throws AmountError for an amount that does not fit the unit.
 */
export function overridePlan(
  from: Plan,
  fields: PlanFields,
  layers: readonly PlanOverrides[],
  scales: ReadonlyMap<string, number>,
): Plan {
  const ofKey = layers.length > 1
  const built = buildPlan(
    from.name,
    Object.assign({}, fields, ...layers, ofKey ? NOT_OF_KEYS : {}) as PlanFields,
    scales,
  )
  // A wallet belongs to the account: its allowance is in the account's unit, whatever a key's calls are charged in.
  return ofKey ? Object.freeze({ ...built, allowance: from.allowance, alerts: from.alerts }) : built
}

/** Left out where a key's own unit could not hold their amounts: they are the account's. */
const NOT_OF_KEYS = { allowance: undefined, alerts: undefined, auto_top_up: undefined }

function buildPlan(name: string, fields: PlanFields, scales: ReadonlyMap<string, number>): Plan {
  const scale = scales.get(fields.unit) ?? DEFAULT_SCALE
  const atoms = (amount: string): Atoms => parseAmount(amount, scale)
  return Object.freeze({
    name,
    unit: fields.unit,
    scale,
    timezone: fields.timezone,
    onExhausted: buildOnExhausted(fields.on_exhausted, atoms),
    enforcement: fields.enforcement,
    models: fields.models,
    endpoints: fields.endpoints,
    maxCostPerCallAtoms: fields.max_cost_per_call === undefined ? undefined : atoms(fields.max_cost_per_call),
    maxCostPerBatchAtoms: fields.max_cost_per_batch === undefined ? undefined : atoms(fields.max_cost_per_batch),
    maxOutputTokens: fields.max_output_tokens,
    batchOutputTokens: fields.batch_output_tokens,
    trim: {
      enabled: fields.trim.enabled,
      minOutputTokens: fields.trim.min_output_tokens,
      minReasoningTokens: fields.trim.min_reasoning_tokens,
      structured: fields.trim.structured,
      tools: fields.trim.tools,
    },
    streaming: fields.streaming && { sliceTokens: fields.streaming.slice_tokens, onCut: fields.streaming.on_cut },
    hold: fields.hold,
    require: fields.require,
    topUpUrl: fields.top_up_url,
    allowance: fields.allowance && buildAllowance(fields.allowance, fields, scale),
    alerts: buildAlerts(fields, atoms),
  })
}

function buildAlerts(fields: PlanFields, atoms: (amount: string) => Atoms): PlanAlerts | undefined {
  const { alerts = [], auto_top_up: topUp, timezone } = fields
  const quiet = fields.on_exhausted.mode === 'postpaid' || fields.enforcement === 'observe'
  if (!quiet && alerts.length === 0 && topUp === undefined) return undefined
  return Object.freeze({
    quiet,
    lows: alerts.flatMap(({ at, below, hours_left: hours }): LowAlert[] => {
      if (at !== undefined) return [{ kind: 'granted', millionths: at }]
      if (below !== undefined) return [{ kind: 'below', atoms: atoms(below) }]
      return hours === undefined ? [] : [{ kind: 'hours', hours }]
    }),
    expiresInMs: alerts.find((alert) => alert.expires_in !== undefined)?.expires_in,
    topUp: topUp && {
      belowAtoms: atoms(topUp.below),
      amountAtoms: atoms(topUp.amount),
      atMostAtoms: atoms(topUp.at_most),
      waitMs: topUp.wait,
      period: { kind: 'calendar' as const, every: topUp.per, timezone, anchor: 1, weekStart: 1 },
    },
  })
}

function buildAllowance(read: AllowanceFields, { unit, timezone }: PlanFields, scale: number): Allowance {
  const amountAtoms = parseAmount(read.amount, scale)
  const { rollover } = read
  const terms = {
    unit,
    scale,
    amountAtoms,
    every: read.every,
    timezone,
    anchor: read.anchor,
    funding: read.funding,
    rollover: rollover && {
      // 1% is 10,000 millionths.
      percentMillionths: Number(parseAmount(rollover.percent, 4)),
      minAtoms: parseAmount(rollover.min, scale),
      maxAtoms: rollover.max === undefined ? amountAtoms : parseAmount(rollover.max, scale),
    },
  }
  return makeAllowance(terms, read.on_change)
}

function buildOnExhausted(read: PlanFields['on_exhausted'], atoms: (amount: string) => Atoms): OnExhausted {
  if (read.mode === 'negative') return { mode: 'negative', floorAtoms: atoms(read.floor) }
  if (read.mode !== 'overflow') return { mode: read.mode }
  return { mode: 'overflow', capAtoms: atoms(read.cap), period: read.period, multiplier: read.multiplier }
}
