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
  readonly snapshot: () => Pick<Snapshot, 'webhooks'>
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

/** Tells the wallet up to which event every receiver of the account is; where it has none, up to the last. */
export async function handOver(context: HandOverContext, account: string): Promise<void> {
  const receivers = receiversOf(context.snapshot(), account)
  if (receivers.length === 0) return handOverAll(context, account)
  const progress = await context.list.progress(account)
  const upToSeq = Math.min(...receivers.map(({ id }) => progress.get(id)?.seq ?? 0))
  if (upToSeq > 0) await context.wallet.eventsHandedOver(account, upToSeq)
}

async function handOverAll({ wallet }: HandOverContext, account: string): Promise<void> {
  for (;;) {
    const last = (await wallet.pendingEvents(account, EVENTS_AT_ONCE)).at(-1)
    if (last === undefined) return
    await wallet.eventsHandedOver(account, last.seq)
  }
}
