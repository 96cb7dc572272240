/** The ledger as it is read: a page at a time. */
import { decodeEntry } from './ledger-entry.ts'
import { field, type ScriptCaller } from './script-caller.ts'
import type { LedgerEntry, LedgerPage } from './wallet-types.ts'

const SCANNED_MAX = 1000

/** Entries after a sequence, oldest first, at most `limit`, of one type or all. */
export async function readLedger(
  scripts: ScriptCaller,
  account: string,
  page: LedgerPage,
): Promise<readonly LedgerEntry[]> {
  const found: LedgerEntry[] = []
  let from = page.afterSeq + 1
  while (found.length < page.limit) {
    const count = page.type === undefined ? Math.min(SCANNED_MAX, page.limit - found.length) : SCANNED_MAX
    const read = await readPage(scripts, account, from, count, page.type)
    found.push(...read.entries)
    if (read.lastSeq === undefined) break
    from = read.lastSeq + 1
  }
  return found.slice(0, page.limit)
}

/** One read of the stream: `limit` entries looked at, those of the type answered. lastSeq undefined: the end. */
export async function readPage(
  scripts: ScriptCaller,
  account: string,
  fromSeq: number,
  limit: number,
  type: string | undefined,
): Promise<{ readonly entries: readonly LedgerEntry[]; readonly lastSeq: number | undefined }> {
  const keys = scripts.keysOf(account)
  const count = String(Math.min(SCANNED_MAX, limit))
  const reply = await scripts.call('ledger', [keys.ledger], [String(fromSeq), count, type ?? ''])
  const entries: LedgerEntry[] = []
  for (let i = 1; i < reply.length; i += 3) {
    entries.push(decodeEntry(Number(reply[i]), field(reply, i + 1), field(reply, i + 2)))
  }
  return { entries, lastSeq: reply[0] ? Number(reply[0]) : undefined }
}
