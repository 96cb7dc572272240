/** How arguments of the scripts are written. Values are percent-encoded, so that no name ends a field. */
import type { WalletAlerts } from '../core/alerts.ts'
import type {
  AppliesTo,
  BudgetCount,
  GrantRequest,
  HoldFacts,
  HoldRequest,
  HoldTerms,
  Rollover,
} from './wallet-types.ts'

const encode = encodeURIComponent

/** mode,limit_atoms,multiplier_millionths,period,observe. Throws RangeError for a multiplier beyond 1000 or 6 decimals. */
export function encodePolicy(terms: HoldTerms): string {
  const { onExhausted: policy, observe } = terms
  const end = observe ? '1' : '0'
  if (policy.mode === 'negative') return `negative,${policy.floorAtoms},1000000,,${end}`
  if (policy.mode !== 'overflow') return `${policy.mode},0,1000000,,${end}`
  return `overflow,${policy.capAtoms},${millionths(policy.multiplier)},${terms.overflowPeriod},${end}`
}

function millionths(decimal: string): string {
  const match = /^(\d{1,4})(?:\.(\d{1,6}))?$/.exec(decimal)
  const value = match ? Number(match[1]) * 1_000_000 + Number((match[2] ?? '').padEnd(6, '0')) : Number.NaN
  if (!(value <= 1_000_000_000)) throw new RangeError(`multiplier ${decimal}: at most 1000 and six decimals`)
  return String(value)
}

/** A line for each, as redis-scripts/lib/budgets.lua has it. "" where there are none. */
export function encodeBudgets(terms: HoldTerms & Pick<Partial<HoldRequest>, 'amounts'>): string {
  const { budgets, unit, amounts } = terms
  if (budgets === undefined || budgets.length === 0) return ''
  return budgets.map((budget) => encodeBudget(budget, kindOf(budget.measure, unit, amounts))).join('\n')
}

function encodeBudget(budget: BudgetCount, [kind, index]: readonly [string, string]): string {
  const { field, limit, action, lifeMs, group, valuesMax, window } = budget
  const beside = window.kind === 'calendar' ? `${window.bounds[0]},${window.bounds[3]}` : ''
  const head = `${field};${kind}${action === 'block' ? 'b' : 'f'}${index};${limit};${encodeWindow(window)}`
  return `${head};${lifeMs};${group};${valuesMax};${beside}`
}

/** What a budget measures: m(oney of the wallet's unit), r(equests), c(oncurrent), or which of the amounts, from 1 on. */
function kindOf(measure: string, unit: string, amounts: HoldRequest['amounts']): readonly [string, string] {
  if (measure === unit) return ['m', '']
  if (measure === 'requests') return ['r', '']
  if (measure === 'concurrent') return ['c', '']
  return ['o', String(1 + (amounts ?? []).findIndex((amount) => amount.measure === measure))]
}

function encodeWindow(window: BudgetCount['window']): string {
  if (window.kind === 'rolling') return `r,${window.lengthMs},${window.partMs}`
  return window.kind === 'calendar' ? `c,${window.bounds[1]},${window.bounds[2]}` : 'l'
}

/** fixed,per_token,floor;… of what budgets measure beside the wallet's unit. */
export function encodeAmounts(request: HoldRequest): string {
  if (request.budgets === undefined || request.budgets.length === 0) return ''
  return (request.amounts ?? []).map(({ fixed, perToken, floor }) => `${fixed},${perToken},${floor}`).join(';')
}

/** Parts separated by `/`, as redis-scripts/lib/events.lua reads them; "" for nothing. */
export function encodeAlerts(alerts: WalletAlerts | undefined): string {
  if (alerts === undefined) return ''
  // One object serves the calls of an account.
  let text = encodedAlerts.get(alerts)
  if (text === undefined) {
    text = alertsText(alerts)
    encodedAlerts.set(alerts, text)
  }
  return text
}

const encodedAlerts = new WeakMap<WalletAlerts, string>()

function alertsText({ quiet, lows, expiresInMs, topUp }: WalletAlerts): string {
  const parts = quiet ? ['q'] : []
  for (const low of lows) {
    if (low.kind === 'granted') parts.push(`p${low.millionths}`)
    else parts.push(low.kind === 'below' ? `b${low.atoms}` : `h${low.hours}`)
  }
  if (expiresInMs !== undefined) parts.push(`x${expiresInMs}`)
  if (topUp !== undefined) {
    const { belowAtoms, amountAtoms, atMostAtoms, waitMs, bounds } = topUp
    parts.push(`t${[belowAtoms, amountAtoms, atMostAtoms, waitMs, ...bounds].join(':')}`)
  }
  return parts.join('/')
}

/** MEASURE=amount;… */
export function encodeFinals(finals: Readonly<Record<string, bigint>> | undefined): string {
  return Object.entries(finals ?? {})
    .map(([measure, amount]) => `${measure}=${amount}`)
    .join(';')
}

/** model;upstream;endpoint;key;run;user;label=value,… */
export function encodeFacts(facts: HoldFacts): string {
  // The hold and the settle of a call carry the same object.
  let text = encodedFacts.get(facts)
  if (text === undefined) {
    text = factsText(facts)
    encodedFacts.set(facts, text)
  }
  return text
}

const encodedFacts = new WeakMap<HoldFacts, string>()

function factsText(facts: HoldFacts): string {
  const { model, upstream, endpoint, key, run = '', user = '' } = facts
  return `${[model, upstream, endpoint, key, run, user].map(encode).join(';')};${encodeLabels(facts.labels)}`
}

export interface DecodedFacts {
  readonly model: string
  readonly upstream: string
  readonly endpoint: string
  readonly key: string
  readonly run: string | undefined
  readonly user: string | undefined
}

export function decodeFacts(text: string): DecodedFacts {
  const [model = '', upstream = '', endpoint = '', key = '', run = '', user = ''] = text
    .split(';')
    .map(decodeURIComponent)
  return { model, upstream, endpoint, key, run: run || undefined, user: user || undefined }
}

function encodeLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join(',')
}

/** m=glob,…;u=…;e=…;l=label=value,…; "" for a grant that applies to everything. `*` stays what it is. */
export function encodeFilter(appliesTo: AppliesTo | undefined): string {
  if (appliesTo === undefined) return ''
  const parts: string[] = []
  const lists = [
    ['m', appliesTo.models] as const,
    ['u', appliesTo.upstreams] as const,
    ['e', appliesTo.endpoints] as const,
  ]
  for (const [name, list] of lists) {
    if (list !== undefined) parts.push(`${name}=${list.map(encode).join(',')}`)
  }
  if (appliesTo.labels !== undefined) parts.push(`l=${encodeLabels(appliesTo.labels)}`)
  return parts.join(';')
}

/** payment,availability,rollover; "" for a grant that is simply there. */
export function encodeTerms(request: GrantRequest): string {
  const { payment = 'none', availability = 'on_creation', rollover } = request
  if (payment === 'none' && availability === 'on_creation' && rollover === undefined) return ''
  return `${payment.slice(0, 1)},${availability.slice(3, 4)},${rollover === undefined ? '' : encodeRollover(rollover)}`
}

/** percent_millionths:min:max:ends:order_head:grant_id; it draws before what it stands beside, by its priority. */
function encodeRollover(rollover: Rollover): string {
  const { percentMillionths, minAtoms, maxAtoms, expiresAtMs, priority, id } = rollover
  const head = `${String(priority).padStart(4, '0')}1${String(expiresAtMs).padStart(16, '0')}0${sortableDecimal('0')}`
  return `${percentMillionths}:${minAtoms}:${maxAtoms}:${expiresAtMs}:${head}:${id}`
}

const NEVER = '9999999999999999'

/** The drawdown order up to the cost basis, as text that sorts: priority, scoped first, expiry, promotional first, cost. */
export function encodeOrderHead(request: GrantRequest): string {
  const priority = String(request.priority).padStart(4, '0')
  const scoped = encodeFilter(request.appliesTo) === '' ? '1' : '0'
  const expiry = request.expiresAtMs === undefined ? NEVER : String(request.expiresAtMs).padStart(16, '0')
  const paid = request.funding === 'promotional' ? '0' : '1'
  return priority + scoped + expiry + paid + sortableDecimal(request.costBasis ?? '0')
}

/** Digits of the whole part counted first, so that "9" sorts before "10"; `!` sorts before every digit. */
export function sortableDecimal(decimal: string): string {
  const match = /^(0|[1-9]\d{0,24})(?:\.(\d{1,24}))?$/.exec(decimal)
  if (!match) throw new RangeError(`${decimal} is not a decimal amount >= 0`)
  const whole = match[1] === '0' ? '' : (match[1] as string)
  return `${String(whole.length).padStart(2, '0')}${whole}${(match[2] ?? '').replace(/0+$/, '')}!`
}
