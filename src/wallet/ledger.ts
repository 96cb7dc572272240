/**
 * The ledger as it is read, a page at a time: from Redis, and from the export where Redis has no more. What is in neither
 * is an error, never left out.
 */
import { decodeEntry } from './ledger-entry.ts'
import { unpackInfo } from './packed-info.ts'
import { field, type ScriptCaller } from './script-caller.ts'
import { EntriesMissing, type LedgerEntry, type LedgerPage } from './wallet-types.ts'

const SCANNED_MAX = 1000

/** An entry as it was written. */
export interface RawEntry {
  readonly seq: number
  readonly packed: string
  readonly info: string
}

export interface RawPage {
  readonly entries: readonly RawEntry[]
  /** Of those that were looked at, whatever their type; undefined: there was none. */
  readonly firstSeq: number | undefined
  readonly lastSeq: number | undefined
}

export interface LedgerSnapshot {
  readonly seq: number
  /** As writeReplay wrote it. */
  readonly state: string
}

/** Where entries are that were trimmed in Redis. */
export interface LedgerArchive {
  /** Entries with fromSeq <= seq < beforeSeq, gapless from fromSeq on, at most `limit`; none where fromSeq is not there. */
  read(account: string, fromSeq: number, beforeSeq: number, limit: number): Promise<readonly RawEntry[]>
  /** The latest that was kept of the account's state. */
  snapshot(account: string): Promise<LedgerSnapshot | undefined>
}

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

/** One read: `limit` entries looked at, those of the type answered. lastSeq undefined: the end. Throws EntriesMissing. */
export async function readPage(
  scripts: ScriptCaller,
  account: string,
  fromSeq: number,
  limit: number,
  type: string | undefined,
): Promise<{ readonly entries: readonly LedgerEntry[]; readonly lastSeq: number | undefined }> {
  const page = await readRawPage(scripts, account, fromSeq, limit, type)
  return {
    entries: page.entries.map(({ seq, packed, info }) => decodeEntry(seq, packed, info)),
    lastSeq: page.lastSeq,
  }
}

/** One entry as it was written; undefined where the ledger does not go so far. Throws EntriesMissing. */
export async function readRawEntry(scripts: ScriptCaller, account: string, seq: number): Promise<RawEntry | undefined> {
  const { entries } = await readRawPage(scripts, account, seq, 1, undefined)
  return entries.find((entry) => entry.seq === seq)
}

async function readRawPage(
  scripts: ScriptCaller,
  account: string,
  fromSeq: number,
  limit: number,
  type: string | undefined,
): Promise<RawPage> {
  const first = Math.max(1, fromSeq)
  const count = Math.min(SCANNED_MAX, limit)
  const page = await readRedisPage(scripts, account, first, count, type)
  if (page.firstSeq === undefined || page.firstSeq === first) return page
  const entries = (await scripts.archive?.read(account, first, page.firstSeq, count)) ?? []
  if (entries[0]?.seq !== first) throw new EntriesMissing(account, first, page.firstSeq - 1)
  const ofType = type === undefined ? entries : entries.filter(({ packed }) => packed.startsWith(`${type}|`))
  return { entries: ofType, firstSeq: first, lastSeq: entries.at(-1)?.seq }
}

/** What Redis has from `fromSeq` on: firstSeq is beyond it where entries were trimmed. */
export async function readRedisPage(
  scripts: ScriptCaller,
  account: string,
  fromSeq: number,
  limit: number,
  type?: string,
): Promise<RawPage> {
  const keys = scripts.keysOf(account)
  const reply = await scripts.call('ledger', [keys.ledger], [String(fromSeq), String(limit), type ?? ''])
  const entries: RawEntry[] = []
  for (let i = 2; i < reply.length; i += 3) {
    entries.push({ seq: Number(reply[i]), packed: field(reply, i + 1), info: unpackInfo(field(reply, i + 2)) })
  }
  const seq = (text: string | undefined): number | undefined => (text ? Number(text) : undefined)
  return { entries, firstSeq: seq(reply[0]), lastSeq: seq(reply[1]) }
}
