/**
 * Checks exported books without anything running: each line, the chain from one to the next, and nothing beside it. Where
 * Redis can be asked, also that nothing is missing at the end: the chain alone does not say how long it was.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { accountDirectory, type BookFile, BooksDamaged, linesOf, listFiles } from './account-files.ts'
import type { Acknowledged } from './books-heads.ts'
import { BrokenLine, GENESIS, type Line, readLine } from './line.ts'
import { readSnapshot } from './snapshot-file.ts'

export interface VerifiedAccount {
  readonly directory: string
  /** undefined: its first line cannot be read. */
  readonly account: string | undefined
  readonly entries: number
  /** Of the last entry. */
  readonly hash: string
  /** The first place where the books are not what was written, as FILE:LINE: WHAT. */
  readonly problem: string | undefined
}

// A gateway that writes at this moment has a line half written for less.
const WRITING_MS = 500

class Problem extends Error {
  constructor(file: string, line: number, what: string) {
    super(`${file}:${line}: ${what}`)
  }
}

/** By account; of this directory of books. Read before the files are: what Redis knows was on disk by then. */
export type KnownHeads = ReadonlyMap<string, Acknowledged>

/** Every account of a directory of books, or one. `heads` undefined: Redis is not asked. */
export async function* verifyBooks(
  books: string,
  account: string | undefined,
  heads?: KnownHeads,
): AsyncGenerator<VerifiedAccount> {
  const seen = new Set<string>()
  for await (const verified of verifiedDirectories(books, account, heads)) {
    if (verified.account !== undefined) seen.add(verified.account)
    yield verified
  }
  for (const [known, { seq }] of heads ?? []) {
    if (seen.has(known) || (account !== undefined && known !== account)) continue
    const directory = accountDirectory(books, known)
    const problem = `${directory}: has no entry of ${known}, and Redis knows that ${upTo(seq)} were exported`
    yield { directory, account: known, entries: 0, hash: GENESIS, problem }
  }
}

function upTo(seq: number): string {
  return `those up to ${seq}`
}

async function* verifiedDirectories(
  books: string,
  account: string | undefined,
  heads: KnownHeads | undefined,
): AsyncGenerator<VerifiedAccount> {
  if (account !== undefined) {
    yield await verifyDirectory(books, accountDirectory(books, account), heads)
    return
  }
  for (const prefix of (await readdir(books)).sort()) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue
    for (const name of (await readdir(join(books, prefix))).sort()) {
      yield await verifyDirectory(books, join(books, prefix, name), heads)
    }
  }
}

async function verifyDirectory(
  books: string,
  directory: string,
  heads: KnownHeads | undefined,
): Promise<VerifiedAccount> {
  const walk: Walk = {
    account: undefined,
    head: undefined,
    last: undefined,
    entries: 0,
    end: { file: directory, line: 0 },
  }
  let problem: string | undefined
  try {
    const files = await listFiles(directory)
    for (const [index, file] of files.entries()) await verifyFile(walk, file, index === files.length - 1, heads)
    verifyEnd(walk)
    if (walk.account !== undefined) await verifySnapshot(directory, walk.account)
    if (walk.account !== undefined && accountDirectory(books, walk.account) !== directory) {
      problem = `${files[0]?.path}:1: ${walk.account} does not belong into ${directory}`
    }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    problem = error.message
  }
  const { account, entries, last } = walk
  return { directory, account, entries, hash: last?.hash ?? GENESIS, problem }
}

async function verifySnapshot(directory: string, account: string): Promise<void> {
  const path = join(directory, 'snapshot.json')
  await readSnapshot(directory, account).catch((error: unknown) => {
    if (error instanceof BooksDamaged)
      throw new Problem(path, 1, 'is not what was written; a new one is made where it is deleted')
    throw error
  })
}

/** Whole last lines may be gone: the chain of those that are left is as good as before. */
function verifyEnd({ head, last, end }: Walk): void {
  const seq = last?.seq ?? 0
  if (head === undefined || seq >= head.seq) return
  const missing = `entry ${seq} is the last here, and Redis knows that ${upTo(head.seq)} were exported`
  throw new Problem(end.file, end.line + 1, `is missing: ${missing}`)
}

interface Walk {
  account: string | undefined
  /** What Redis knows of the account's end. */
  head: Acknowledged | undefined
  /** Of the last line that was read. */
  end: { readonly file: string; readonly line: number }
  last: Line | undefined
  entries: number
}

async function verifyFile(walk: Walk, file: BookFile, isLast: boolean, heads: KnownHeads | undefined): Promise<void> {
  const expected = (walk.last?.seq ?? 0) + 1
  if (file.firstSeq !== expected) throw new Problem(file.path, 1, `the file before ends with entry ${expected - 1}`)
  let number = 0
  let end = 0
  for await (const { bytes, endByte } of linesOf(file.path)) {
    number++
    end = endByte
    const line = lineAt(file.path, number, bytes)
    if (walk.account === undefined) {
      walk.account = line.account
      walk.head = heads?.get(line.account)
    }
    if (line.account !== walk.account)
      throw new Problem(file.path, number, `is of ${line.account}, not ${walk.account}`)
    if (line.prev !== (walk.last?.hash ?? GENESIS)) {
      throw new Problem(file.path, number, 'does not follow the line before: its "prev" is not that one’s hash')
    }
    if (line.seq !== (walk.last?.seq ?? 0) + 1) {
      throw new Problem(file.path, number, `entry ${line.seq} follows ${walk.last?.seq ?? 0}`)
    }
    if (line.seq === walk.head?.seq && line.hash !== walk.head.hash)
      throw new Problem(file.path, number, 'is not what was exported: Redis knows another hash of this entry')
    walk.last = line
    walk.end = { file: file.path, line: number }
    walk.entries++
  }
  if (await endsInside(file.path, end, isLast)) throw new Problem(file.path, number + 1, 'ends in the middle of a line')
}

function lineAt(path: string, number: number, bytes: Buffer): Line {
  try {
    return readLine(bytes)
  } catch (error) {
    if (error instanceof BrokenLine) throw new Problem(path, number, error.message)
    throw error
  }
}

/** Something without a line break stands behind the last line, and not because it is being written just now. */
async function endsInside(path: string, end: number, mayGrow: boolean): Promise<boolean> {
  const { size } = await stat(path)
  if (size <= end || !mayGrow) return size > end
  await sleep(WRITING_MS)
  const file = await open(path, 'r')
  try {
    const rest = Buffer.alloc(Math.min(1024 * 1024, size - end))
    const { bytesRead } = await file.read(rest, 0, rest.length, end)
    return !rest.subarray(0, bytesRead).includes(10)
  } finally {
    await file.close()
  }
}
