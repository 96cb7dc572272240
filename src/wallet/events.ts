/** Events of an account that wait to be handed over to whoever asked to hear of them. */
import { readRawEntry } from './ledger.ts'
import { decodeEntry } from './ledger-entry.ts'
import { field, type ScriptCaller } from './script-caller.ts'
import type { PendingEvent } from './wallet-types.ts'

// A page of the ledger; what waits beyond it is asked for when these are handed over.
const AT_ONCE = 1000

export async function pendingEvents(
  scripts: ScriptCaller,
  account: string,
  limit: number,
  afterSeq = 0,
): Promise<readonly PendingEvent[]> {
  const keys = scripts.keysOf(account)
  const count = String(Math.min(AT_ONCE, Math.max(1, Math.trunc(limit))))
  const reply = await scripts.call('pending_events', [keys.ledger, keys.events], [count, String(afterSeq)])
  const found: PendingEvent[] = []
  for (let i = 0; i < reply.length; i += 2) {
    const seq = Number(field(reply, i))
    const packed = field(reply, i + 1) || (await readRawEntry(scripts, account, seq))?.packed
    // An event whose entry is nowhere is nothing to hand over: the set of those that wait was written to by another hand.
    if (packed !== undefined) found.push({ seq, entry: decodeEntry(seq, packed, '') })
  }
  return found
}

export async function eventsHandedOver(scripts: ScriptCaller, account: string, upToSeq: number): Promise<number> {
  if (!Number.isSafeInteger(upToSeq) || upToSeq < 0) throw new RangeError(`${upToSeq} is no sequence`)
  const keys = scripts.keysOf(account)
  return Number(field(await scripts.call('events_handed_over', [keys.account, keys.events], [String(upToSeq)]), 0))
}
