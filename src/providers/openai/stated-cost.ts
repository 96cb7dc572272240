/** What a provider says that a call cost, in USD, as a decimal string: OpenRouter and Perplexity, xAI in ticks of 1e-10. */
import { memberObject, readCount } from '../counts.ts'
import { asObject } from '../read-fields.ts'

const TICK_DECIMALS = 10

/** undefined where `value` is no usage object, or one that states no cost. */
export function readStatedCost(value: unknown): string | undefined {
  const usage = asObject(value)
  const ticks = readCount(usage, 'cost_in_usd_ticks')
  if (ticks !== undefined) return fromTicks(ticks)
  const cost = memberObject(usage, 'cost')?.['total_cost'] ?? usage?.['cost']
  return typeof cost === 'number' && Number.isFinite(cost) && cost >= 0 ? plain(cost) : undefined
}

function fromTicks(ticks: number): string {
  const digits = String(ticks).padStart(TICK_DECIMALS + 1, '0')
  const fraction = digits.slice(-TICK_DECIMALS).replace(/0+$/, '')
  const whole = digits.slice(0, -TICK_DECIMALS)
  return fraction === '' ? whole : `${whole}.${fraction}`
}

/** Without an exponent: 1.5e-7 is 0.00000015. */
function plain(cost: number): string {
  const text = String(cost)
  return text.includes('e') ? cost.toFixed(20).replace(/\.?0+$/, '') : text
}
