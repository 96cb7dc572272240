/**
 * What an edit of `webhooks` does to events that are not yet handed over: a new receiver gets those that others still wait
 * for, one that was changed is asked again at once, and what only a removed one waited for is done with.
 */
import type { Receiver } from '../config/snapshot.ts'
import { type HandOverContext, handOver, receiversOf } from './hand-over.ts'

const HAND_OVERS_AT_ONCE = 32

/** Each step can be repeated: a process that dies in the middle leaves the rest to the next start. */
export async function takeOver(context: HandOverContext, receivers: readonly Receiver[]): Promise<void> {
  const { list } = context
  const known = await list.receivers()
  const changed = receivers.filter(({ id, fingerprint }) => known.get(id) !== fingerprint)
  const removed = [...known.keys()].filter((id) => !receivers.some((receiver) => receiver.id === id))
  if (changed.length === 0 && removed.length === 0) return
  for (const id of new Set([...known.keys(), ...receivers.map((receiver) => receiver.id)])) {
    for await (const accounts of list.accounts(id)) await lookAgain(context, accounts, changed)
  }
  for (const { id, fingerprint } of changed) await list.keepReceiver(id, fingerprint)
  for (const id of removed) await list.dropReceiver(id)
}

async function lookAgain(
  context: HandOverContext,
  accounts: readonly string[],
  changed: readonly Receiver[],
): Promise<void> {
  const { list, snapshot, now } = context
  for (const { id } of changed) {
    const theirs = accounts.filter((account) => receiversOf(snapshot(), account).some((other) => other.id === id))
    if (theirs.length === 0) continue
    await list.mark(id, theirs, now())
    await list.hurry(id, theirs, now())
  }
  // With fewer receivers an event may be done with.
  for (let i = 0; i < accounts.length; i += HAND_OVERS_AT_ONCE)
    await Promise.all(accounts.slice(i, i + HAND_OVERS_AT_ONCE).map((account) => handOver(context, account)))
}
