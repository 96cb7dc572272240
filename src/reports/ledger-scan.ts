/** Reads a part of an account's ledger by time, a bounded page at a time. */
import { idTimeMs } from '../core/ids.ts'
import { EntriesMissing, type LedgerEntry, type Wallet } from '../wallet/wallet-types.ts'

export type LedgerPages = Pick<Wallet, 'ledgerPage'>

/** Entries taken apart at once: some three milliseconds of the event loop. */
const PAGE = 250
/** Clocks of gateways and of Redis may differ by this much: entries are dated by the one, ids by the other. */
const CLOCK_DIFFERENCE_MS = 300_000

/**
 * Dated when they are written, which never goes back in an account. What time decides (timeouts, expiries, grants that
 * become effective) is dated when it was due, and is written before anything else is.
 */
const DATED_WHEN_WRITTEN = new Set([
  ...['hold', 'checkpoint', 'settle', 'void', 'late_settle', 'unmatched', 'refund', 'adjust', 'payment'],
  ...['grant_void', 'clawback', 'overflow_close', 'flagged_resolve', 'freeze', 'stop'],
])

/** Pages with every entry dated in [sinceMs, untilMs), and some around them. Oldest first. */
export async function* ledgerBetween(
  ledger: LedgerPages,
  account: string,
  sinceMs: number,
  untilMs: number,
): AsyncGenerator<readonly LedgerEntry[]> {
  let afterSeq = sinceMs === Number.NEGATIVE_INFINITY ? 0 : (await firstSeqAt(ledger, account, sinceMs)) - 1
  for (;;) {
    const { entries, lastSeq } = await ledger.ledgerPage(account, { afterSeq, limit: PAGE, type: undefined })
    yield entries
    if (lastSeq === undefined || entries.some((entry) => isAtOrAfter(entry, untilMs))) return
    afterSeq = lastSeq
  }
}

function isAtOrAfter({ type, atMs }: LedgerEntry, ms: number): boolean {
  return atMs >= ms && DATED_WHEN_WRITTEN.has(type)
}

/** The least sequence that no entry before it is dated at or after `atMs`. */
async function firstSeqAt(ledger: LedgerPages, account: string, atMs: number): Promise<number> {
  let low = await firstReadable(ledger, account, atMs)
  let step = 1
  while (await isBefore(ledger, account, low + step, atMs)) {
    low += step
    step *= 2
  }
  let high = low + step
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (await isBefore(ledger, account, middle, atMs)) low = middle + 1
    else high = middle
  }
  return low
}

/** Where this gateway has no books, what was trimmed does not matter to a time after it. */
async function firstReadable(ledger: LedgerPages, account: string, atMs: number): Promise<number> {
  try {
    const { entries } = await ledger.ledgerPage(account, { afterSeq: 0, limit: 1, type: undefined })
    return entries[0]?.seq ?? 1
  } catch (error) {
    if (error instanceof EntriesMissing && (await isBefore(ledger, account, error.nextSeq, atMs))) return error.nextSeq
    throw error
  }
}

/** Whether the first entry from `seq` on that was dated when it was written is dated before `atMs`. */
async function isBefore(ledger: LedgerPages, account: string, seq: number, atMs: number): Promise<boolean> {
  for (let afterSeq = seq - 1, limit = 1; ; limit = PAGE) {
    const { entries, lastSeq } = await ledger.ledgerPage(account, { afterSeq, limit, type: undefined })
    const dated = entries.find(({ type }) => DATED_WHEN_WRITTEN.has(type))
    if (dated) return dated.atMs < atMs
    if (lastSeq === undefined) return false
    afterSeq = lastSeq
  }
}

export async function entryAt(ledger: LedgerPages, account: string, seq: number): Promise<LedgerEntry | undefined> {
  const { entries } = await ledger.ledgerPage(account, { afterSeq: seq - 1, limit: 1, type: undefined })
  return entries[0]?.seq === seq ? entries[0] : undefined
}

/** The hold of a call, looked for around the time in its id. */
export async function findHold(ledger: LedgerPages, account: string, id: string): Promise<LedgerEntry | undefined> {
  const idMs = idTimeMs(id)
  if (idMs === undefined) return undefined
  const pages = ledgerBetween(ledger, account, idMs - CLOCK_DIFFERENCE_MS, idMs + CLOCK_DIFFERENCE_MS)
  for await (const entries of pages) {
    const hold = entries.find(({ type, op }) => type === 'hold' && op === id)
    if (hold) return hold
  }
  return undefined
}
