/**
 * Charges in the columns of FOCUS 1.2 (FinOps Open Cost and Usage Specification): one row for each settle, timeout, late
 * settle and refund, so that BilledCost sums up to what the wallets posted. Columns of our own begin with `x_`.
 *
 * The account is the billing account, the key its sub-account. What a customer is charged is billed, effective, contracted
 * and list cost alike: the ledger has one price of a call; what it cost us is x_ProviderCost. Costs in FOCUS are in a
 * currency, so charges in units of one's own (credits) have no row.
 *
 * Source: https://focus.finops.org/focus-specification/v1-2/ (columns, allowed values and when they may be null).
 */

import { csvLine } from './csv.ts'
import type { LedgerRow } from './ledger-rows.ts'

interface Charge {
  readonly account: string
  readonly issuer: string
  readonly row: LedgerRow
  readonly cost: string
  readonly currency: string
  /** Of an invoiced period before the one it stands in. */
  readonly corrects: boolean
}

const CHARGES = ['settle', 'timeout', 'late_settle']
const HOUR_MS = 3_600_000

const said =
  (name: string) =>
  ({ row }: Charge): unknown =>
    row[name]
const cost = (charge: Charge): string => charge.cost
const issuer = (charge: Charge): string => charge.issuer

const COLUMNS: Readonly<Record<string, (charge: Charge) => unknown>> = {
  BilledCost: cost,
  BillingAccountId: ({ account }) => account,
  BillingAccountName: ({ account }) => account,
  BillingCurrency: ({ currency }) => currency,
  BillingPeriodEnd: ({ row }) => monthAfter(row.at, 1),
  BillingPeriodStart: ({ row }) => monthAfter(row.at, 0),
  ChargeCategory: () => 'Usage',
  ChargeClass: ({ corrects }) => (corrects ? 'Correction' : null),
  ChargeDescription: ({ row }) => descriptionOf(row),
  ChargeFrequency: () => 'Usage-Based',
  ChargePeriodEnd: ({ row }) => hour(row.at, 1),
  ChargePeriodStart: ({ row }) => hour(row.at, 0),
  ConsumedQuantity: ({ row }) => consumed(row)?.quantity,
  ConsumedUnit: ({ row }) => consumed(row)?.unit,
  ContractedCost: cost,
  EffectiveCost: cost,
  InvoiceIssuerName: issuer,
  ListCost: cost,
  PricingQuantity: ({ row }) => consumed(row)?.quantity ?? 1,
  PricingUnit: ({ row }) => consumed(row)?.unit ?? 'Requests',
  ProviderName: issuer,
  PublisherName: (charge) => charge.row['upstream'] ?? charge.issuer,
  ServiceCategory: () => 'AI and Machine Learning',
  ServiceName: (charge) => charge.row['upstream'] ?? charge.issuer,
  ServiceSubcategory: () => 'Generative AI',
  SkuId: said('model'),
  SkuMeter: said('endpoint'),
  SubAccountId: said('key'),
  SubAccountName: said('key'),
  Tags: ({ row }) => ({ ...(row['labels'] as object | undefined), ...(row['tags'] as object | undefined) }),
  x_Entry: ({ account, row }) => `${account}:${row.seq}`,
  x_EntryType: ({ row }) => row.type,
  x_ProviderCost: said('cost'),
  x_ProviderCostCurrency: said('cost_unit'),
  x_RequestId: said('request_id'),
  x_Run: said('run'),
  x_User: said('user'),
}

export const focusColumns: readonly string[] = Object.keys(COLUMNS)

/** Of one account: entries in order, from the first on, since a refund names its charge by sequence alone. */
export function focusWriter(account: string, issuerName: string): (row: LedgerRow) => string | undefined {
  const months: { readonly month: string; readonly fromSeq: number }[] = []
  return (row) => {
    const month = monthAfter(row.at, 0)
    if (CHARGES.includes(row.type) && month > (months.at(-1)?.month ?? '')) months.push({ month, fromSeq: row.seq })
    const charged = chargedBy(row)
    const currency = row['unit'] ?? row.legs[0]?.unit
    if (charged === undefined) return ''
    if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency)) return undefined
    const of = Number(row['charge'])
    const ofMonth = months.findLast(({ fromSeq }) => fromSeq <= of)?.month
    const corrects = row.type === 'refund' && ofMonth !== undefined && ofMonth < month
    const charge = { account, issuer: issuerName, row, cost: charged, currency, corrects }
    return csvLine(Object.values(COLUMNS).map((cell) => cell(charge)))
  }
}

/** undefined: no charge. */
function chargedBy(row: LedgerRow): string | undefined {
  const amount = row[row.type === 'refund' ? 'amount' : 'charged']
  if (typeof amount !== 'string') return undefined
  if (row.type === 'refund') return amount === '0' ? amount : `-${amount}`
  return CHARGES.includes(row.type) ? amount : undefined
}

/** Tokens of all kinds, without reasoning, which is a part of the output; else what was counted. */
function consumed(row: LedgerRow): { readonly quantity: number; readonly unit: string } | undefined {
  const tokens = Object.entries((row['tokens'] ?? {}) as Readonly<Record<string, number>>)
  const sum = tokens.reduce((total, [kind, count]) => (kind === 'reasoning' ? total : total + count), 0)
  if (sum > 0) return { quantity: sum, unit: 'Tokens' }
  const [counted] = Object.entries((row['units'] ?? {}) as Readonly<Record<string, number>>)
  return counted && { quantity: counted[1], unit: `${counted[0].charAt(0).toUpperCase()}${counted[0].slice(1)}` }
}

function descriptionOf(row: LedgerRow): string {
  if (row.type === 'refund') return `Refund of entry ${String(row['charge'])}`
  const call = [row['model'], row['endpoint']].filter((part) => typeof part === 'string').join(' ')
  const how =
    { settle: 'Call', timeout: 'Call without an end', late_settle: 'Late end of a call' }[row.type] ?? 'Charge'
  return call === '' ? how : `${how}: ${call}`
}

function monthAfter(at: string, months: number): string {
  const date = new Date(at)
  return seconds(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months))
}

function hour(at: string, hours: number): string {
  return seconds((Math.floor(Date.parse(at) / HOUR_MS) + hours) * HOUR_MS)
}

function seconds(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}
