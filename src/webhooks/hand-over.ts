/** When an event need not be kept for receivers any longer: each that wants it has it, or has lost it. */
import type { Receiver, Snapshot } from '../config/snapshot.ts'
import { anyGlobMatches } from '../core/glob.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import type { DeliveryList } from './delivery-list.ts'

/** Where events come from. */
export type EventSource = Pick<Wallet, 'pendingEvents' | 'eventsHandedOver'>

export interface HandOverContext {
  readonly list: DeliveryList
  readonly wallet: EventSource
  readonly snapshot: () => Pick<Snapshot, 'webhooks' | 'settings'>
  readonly now: () => number
}

/** Read in one go. */
export const EVENTS_AT_ONCE = 100

/** Those that are told of the account's events. */
export function receiversOf({ webhooks }: Pick<Snapshot, 'webhooks'>, account: string): readonly Receiver[] {
  return webhooks.filter(({ accounts }) => anyGlobMatches(accounts, account))
}

export function wants(receiver: Receiver, eventType: string): boolean {
  return anyGlobMatches(receiver.events, eventType)
}

/**
 * Tells the wallet up to which event every receiver of the account is; where it has none, up to the last. Those that are
 * behind are marked: who marked one may have been killed before it marked the next.
 */
export async function handOver(context: HandOverContext, account: string): Promise<void> {
  const { snapshot, list, wallet, now } = context
  const receivers = receiversOf(snapshot(), account)
  if (receivers.length === 0) return handOverAll(context, account)
  const progress = await list.progress(account)
  const seqs = new Map(receivers.map(({ id }) => [id, progress.get(id)?.seq ?? 0]))
  const [least, most] = [Math.min(...seqs.values()), Math.max(...seqs.values())]
  for (const [id, seq] of seqs) if (seq < most) await list.mark(id, [account], now())
  if (least > 0) await wallet.eventsHandedOver(account, least)
}

async function handOverAll({ wallet }: HandOverContext, account: string): Promise<void> {
  for (;;) {
    const last = (await wallet.pendingEvents(account, EVENTS_AT_ONCE)).at(-1)
    if (last === undefined) return
    await wallet.eventsHandedOver(account, last.seq)
  }
}
