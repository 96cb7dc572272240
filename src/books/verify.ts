/** Checks exported books without anything running: each line, the chain from one to the next, and nothing beside it. */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { accountDirectory, type BookFile, BooksDamaged, linesOf, listFiles } from './account-files.ts'
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

/** Every account of a directory of books, or one. */
export async function* verifyBooks(books: string, account: string | undefined): AsyncGenerator<VerifiedAccount> {
  if (account !== undefined) {
    yield await verifyDirectory(books, accountDirectory(books, account))
    return
  }
  for (const prefix of (await readdir(books)).sort()) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue
    for (const name of (await readdir(join(books, prefix))).sort()) {
      yield await verifyDirectory(books, join(books, prefix, name))
    }
  }
}

async function verifyDirectory(books: string, directory: string): Promise<VerifiedAccount> {
  const walk: Walk = { account: undefined, last: undefined, entries: 0 }
  let problem: string | undefined
  try {
    const files = await listFiles(directory)
    for (const [index, file] of files.entries()) await verifyFile(walk, file, index === files.length - 1)
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

interface Walk {
  account: string | undefined
  last: Line | undefined
  entries: number
}

async function verifyFile(walk: Walk, file: BookFile, isLast: boolean): Promise<void> {
  const expected = (walk.last?.seq ?? 0) + 1
  if (file.firstSeq !== expected) throw new Problem(file.path, 1, `the file before ends with entry ${expected - 1}`)
  let number = 0
  let end = 0
  for await (const { bytes, endByte } of linesOf(file.path)) {
    number++
    end = endByte
    const line = lineAt(file.path, number, bytes)
    walk.account ??= line.account
    if (line.account !== walk.account)
      throw new Problem(file.path, number, `is of ${line.account}, not ${walk.account}`)
    if (line.prev !== (walk.last?.hash ?? GENESIS)) {
      throw new Problem(file.path, number, 'does not follow the line before: its "prev" is not that one’s hash')
    }
    if (line.seq !== (walk.last?.seq ?? 0) + 1) {
      throw new Problem(file.path, number, `entry ${line.seq} follows ${walk.last?.seq ?? 0}`)
    }
    walk.last = line
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
