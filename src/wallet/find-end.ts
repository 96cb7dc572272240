import { isEnd, settledOf } from './answers.ts'
import { readPage, readRedisPage } from './ledger.ts'
import type { ScriptCaller } from './script-caller.ts'
import type { LedgerEntry, SettleResult } from './wallet-types.ts'

// Clocks of gateways and of Redis may differ by this much: entries are dated by the one, ids by the other.
const CLOCK_DIFFERENCE_MS = 300_000
const PAGE = 1000

/**
 * Looks in the ledger for how a call ended whose records are gone: its settle, late settle, unmatched entry or void.
 * `timed_out`: it has a timeout and no later end. Undefined where it has neither. Reads on from the time in the id:
 * pages of 1,000, for ids older than an hour alone.
 */
export async function findEnd(
  scripts: ScriptCaller,
  account: string,
  id: string,
  idMs: number,
): Promise<SettleResult | 'timed_out' | undefined> {
  let from = await firstSeqAt(scripts, account, idMs - CLOCK_DIFFERENCE_MS)
  let timedOut = false
  for (;;) {
    const page = await readPage(scripts, account, from, PAGE, undefined)
    const own = page.entries.filter((entry) => entry.op === id)
    const end = own.find(isEnd)
    if (end !== undefined) return settledOf(end)
    timedOut ||= own.some((entry) => entry.type === 'timeout')
    if (page.lastSeq === undefined) return timedOut ? 'timed_out' : undefined
    from = page.lastSeq + 1
  }
}

/** The timeout of a call, from the time in its id on. */
export async function findTimeout(
  scripts: ScriptCaller,
  account: string,
  id: string,
  idMs: number,
): Promise<LedgerEntry | undefined> {
  let from = await firstSeqAt(scripts, account, idMs - CLOCK_DIFFERENCE_MS)
  for (;;) {
    const page = await readPage(scripts, account, from, PAGE, 'timeout')
    const own = page.entries.find((entry) => entry.op === id)
    if (own !== undefined || page.lastSeq === undefined) return own
    from = page.lastSeq + 1
  }
}

/** The first entry dated at or after `atMs`, by halving; entries dated by a due time may be a little out of order. */
async function firstSeqAt(scripts: ScriptCaller, account: string, atMs: number): Promise<number> {
  // Mostly it is in Redis, whatever was trimmed there.
  const [first] = (await readRedisPage(scripts, account, 0, 1)).entries
  let low = first !== undefined && Number(first.packed.split('|', 2)[1]) < atMs ? first.seq : 1
  let high = low
  const dateAt = async (seq: number): Promise<number | undefined> =>
    (await readPage(scripts, account, seq, 1, undefined)).entries[0]?.atMs
  while (((await dateAt(high)) ?? Number.POSITIVE_INFINITY) < atMs) high *= 2
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (((await dateAt(middle)) ?? Number.POSITIVE_INFINITY) < atMs) low = middle + 1
    else high = middle
  }
  return low
}
