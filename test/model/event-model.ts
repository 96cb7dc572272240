/** Events once more: what an act makes known of a wallet, from its balance before and after. */
import { formatAmount } from '../../src/core/money.ts'

export interface ModelEvent {
  readonly seq: number
  readonly unit: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}
export interface Watched {
  readonly balance: bigint
  readonly debt: bigint
  /** x: exhausted. */
  readonly told: readonly string[]
}
interface Now {
  readonly balance: bigint
  readonly debt: bigint
  /** Of a hold that found no money. */
  readonly needed: bigint | undefined
}
type Event = (scale: number) => Pick<ModelEvent, 'event' | 'fields'>

export function watched(
  before: Watched = { balance: 0n, debt: 0n, told: [] },
  { balance, debt, needed }: Now,
): { readonly told: readonly string[]; readonly events: readonly Event[] } {
  const rose = balance > before.balance || debt < before.debt
  const told = rose ? [] : [...before.told]
  const events: Event[] = []
  const ranOut = before.balance > 0n && balance === 0n
  if ((ranOut || needed !== undefined) && !told.includes('x')) {
    told.push('x')
    events.push((scale) => ({
      event: 'wallet.exhausted',
      fields: needed === undefined ? {} : { needed: formatAmount(needed, scale) },
    }))
  }
  return { told, events }
}
