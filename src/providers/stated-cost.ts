/**
 * What a provider says that a call cost, in USD, as it stands there: unchecked, since what is absurd is to be flagged.
 *
 * - xAI: `cost_in_usd_ticks`, in 1e-10 USD. Azure's Grok has the member and always 0 in it: that states nothing.
 * - Perplexity: `cost` is an object with `total_cost`; of a stream only the last chunk's is complete.
 * - OpenRouter, Vercel, Avian: `cost`. With a key of the caller's own (`is_byok`) it is the gateway's fee alone; what the
 *   model's provider takes stands beside it, as `cost_details.upstream_inference_cost` or Vercel's `market_cost`. Where
 *   that is missing nothing states what the call cost.
 * - DeepInfra: `estimated_cost`.
 * Sources: openrouter.ai/docs/use-cases/usage-accounting, docs.x.ai/docs/key-information/consumption-and-rate-limits,
 * vercel.com/docs/ai-gateway; recorded traffic of each.
 */
import { Decimal } from 'decimal.js'
import { memberObject } from './counts.ts'
import { asObject } from './read-fields.ts'

const TICKS_PER_USD = 10_000_000_000
const Plain = Decimal.clone({ precision: 60, toExpNeg: -1e6, toExpPos: 1e6 })
const NUMBER = /^-?\d{1,30}(?:\.\d{1,30})?$/

/** undefined where `value` is no usage object, or one that states no cost. */
export function readStatedCost(value: unknown): string | undefined {
  const usage = asObject(value)
  if (usage === undefined) return undefined
  const ticks = numberText(usage['cost_in_usd_ticks'])
  if (ticks !== undefined) return ticks === '0' ? undefined : divided(ticks, TICKS_PER_USD)
  const parts = memberObject(usage, 'cost')
  if (parts) return inOtherMoney(parts['currency']) ? undefined : numberText(parts['total_cost'])
  const cost = numberText(usage['cost']) ?? numberText(usage['estimated_cost'])
  if (cost === undefined || usage['is_byok'] !== true) return cost
  const upstream = numberText(memberObject(usage, 'cost_details')?.['upstream_inference_cost'] ?? usage['market_cost'])
  return upstream === undefined ? undefined : sum(cost, upstream)
}

/** The same as a member of the answer's facts, there only where a cost is stated. */
export function statedCostOf(value: unknown): { readonly statedCost?: string } {
  const statedCost = readStatedCost(value)
  return statedCost === undefined ? {} : { statedCost }
}

function inOtherMoney(currency: unknown): boolean {
  return typeof currency === 'string' && currency.toUpperCase() !== 'USD'
}

/** Without an exponent: 1.5e-7 is 0.00000015. Infinity (1e999) stays a word. */
function numberText(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? new Plain(value).toFixed() : String(value)
  return typeof value === 'string' && NUMBER.test(value) ? value : undefined
}

function divided(text: string, by: number): string {
  return NUMBER.test(text) ? new Plain(text).div(by).toFixed() : text
}

function sum(a: string, b: string): string {
  return NUMBER.test(a) && NUMBER.test(b) ? new Plain(a).plus(b).toFixed() : a
}
