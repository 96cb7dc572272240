/**
 * The exported books of one account: files of lines, named by their first sequence.
 *
 *   BOOKS/3f/acme~3fa9c2…/0000000000000001.jsonl
 *
 * A directory an account, below 256 others: with 100,000 accounts each has about 400, one account's history is found
 * without an index, can be checked, copied or handed over alone, and what damages it damages no other's. A file an
 * account and day would be ten times as many files for the many that have a few entries, one file for all accounts a
 * search. An account that is not used has its one file and costs nothing; one in use costs one fsync a round, however many
 * entries it has.
 *
 * Which bytes stand where is decided by the ledger alone: a file ends with the line that brings it to 64 MiB or beyond,
 * and the next is named by the next sequence. So lines are written by position and never appended: a writer that lost its
 * lease without knowing it writes once more the bytes that are there.
 */
import { createHash, randomBytes } from 'node:crypto'
import { constants, createReadStream, createWriteStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, stat, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { RawEntry } from '../wallet/ledger.ts'
import { BrokenLine, GENESIS, type Line, readLine, seqOf, writeLine } from './line.ts'

const FILE = /^(\d{16})\.jsonl$/
const CHUNK_BYTES = 256 * 1024
export const FILE_BYTES = 64 * 1024 * 1024

export interface BookFile {
  readonly path: string
  readonly firstSeq: number
}

/** Where the books of an account end. */
export interface BooksEnd {
  readonly seq: number
  readonly hash: string
  /** Of the last file, behind its last whole line; undefined: there is none, or the next line begins one. */
  readonly file: string | undefined
  readonly bytes: number
}

/** Something in the books is not as it was written. The message names file and line. */
export class BooksDamaged extends Error {
  override readonly name = 'BooksDamaged'
}

/** What writes; tests put a failing disk in its place. */
export type OpenFile = (path: string, flags: number) => Promise<Pick<FileHandle, 'write' | 'datasync' | 'close'>>

export function accountDirectory(books: string, account: string): string {
  const digest = createHash('sha256').update(account).digest('hex')
  // A name may have what a file's name may not; two that differ in case alone are one on some disks.
  return join(books, digest.slice(0, 2), `${account.replaceAll(/[^A-Za-z0-9._@+-]/g, '_')}~${digest.slice(2, 18)}`)
}

/** In the order of their sequences; none where the account has no books. */
export async function listFiles(directory: string): Promise<readonly BookFile[]> {
  const names = await readdir(directory).catch(noneIfAbsent)
  return names.sort().flatMap((name) => {
    const match = FILE.exec(name)
    return match ? [{ path: join(directory, name), firstSeq: Number(match[1]) }] : []
  })
}

function noneIfAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/** Lines of a file from a position on, with the position behind each. A last line without a line break is left out. */
export async function* linesOf(path: string, fromByte = 0): AsyncGenerator<{ bytes: Buffer; endByte: number }> {
  const file = await open(path, 'r')
  try {
    let rest: Buffer = Buffer.alloc(0)
    let position = fromByte
    let endByte = fromByte
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position)
      if (bytesRead === 0) return
      position += bytesRead
      const read = chunk.subarray(0, bytesRead)
      const whole = rest.length === 0 ? read : Buffer.concat([rest, read])
      let start = 0
      for (let at = whole.indexOf(10, rest.length); at >= 0; at = whole.indexOf(10, start)) {
        endByte += at + 1 - start
        yield { bytes: whole.subarray(start, at), endByte }
        start = at + 1
      }
      rest = whole.subarray(start)
    }
  } finally {
    await file.close()
  }
}

/** Entries with fromSeq <= seq < beforeSeq, at most `limit`; each line's own hash is checked. Throws BooksDamaged. */
export async function readEntries(
  directory: string,
  account: string,
  fromSeq: number,
  beforeSeq: number,
  limit: number,
): Promise<readonly Line[]> {
  const files = await listFiles(directory)
  const first = files.findLastIndex((file) => file.firstSeq <= fromSeq)
  const found: Line[] = []
  for (const file of first < 0 ? [] : files.slice(first)) {
    const from = file.firstSeq < fromSeq ? await positionOf(file.path, fromSeq) : 0
    for await (const { bytes } of linesOf(file.path, from)) {
      if ((seqOf(bytes) ?? fromSeq) < fromSeq) continue
      const line = checkedLine(bytes, file.path, account)
      if (line.seq !== fromSeq + found.length)
        throw new BooksDamaged(`${file.path}: entry ${line.seq} stands where ${fromSeq + found.length} should`)
      if (line.seq >= beforeSeq) return found
      if (found.push(line) === limit) return found
    }
  }
  return found
}

function checkedLine(bytes: Buffer, path: string, account: string): Line {
  try {
    const line = readLine(bytes)
    if (line.account === account) return line
    throw new BrokenLine(`is of ${line.account}`)
  } catch (error) {
    if (!(error instanceof BrokenLine)) throw error
    throw new BooksDamaged(`${path}: the line of entry ${seqOf(bytes) ?? '?'} ${error.message}`)
  }
}

/** The position of a line at or before `seq`, by halving. */
async function positionOf(path: string, seq: number): Promise<number> {
  let low = 0
  let high = (await stat(path)).size
  const file = await open(path, 'r')
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    while (high - low > CHUNK_BYTES) {
      const middle = Math.floor((low + high) / 2)
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, middle)
      const start = chunk.subarray(0, bytesRead).indexOf(10) + 1
      const found = start === 0 ? undefined : seqOf(chunk.subarray(start, bytesRead))
      // A line longer than a chunk: what is left is read from its beginning on.
      if (found === undefined) return low
      if (found <= seq) low = middle + start
      else high = middle
    }
    return low
  } finally {
    await file.close()
  }
}

/**
 * Reads where the books of an account end. What follows the last whole line and is no line (a crash while it was written)
 * is cut off, if it is beyond `safeSeq`: what was acknowledged was on disk before. Throws BooksDamaged for other damage.
 */
export async function openEnd(directory: string, account: string, safeSeq: number): Promise<BooksEnd> {
  const files = await listFiles(directory)
  for (const file of files.toReversed()) {
    const { last, endByte, problem } = await lastLine(file.path, account)
    if (problem !== undefined && (last?.seq ?? file.firstSeq - 1) < safeSeq) throw new BooksDamaged(problem)
    if (problem !== undefined) await truncate(file.path, endByte)
    // A file that has no line yet is written from its beginning on.
    if (last === undefined) continue
    const isFull = endByte >= FILE_BYTES
    return { seq: last.seq, hash: last.hash, file: isFull ? undefined : file.path, bytes: isFull ? 0 : endByte }
  }
  return { seq: 0, hash: GENESIS, file: undefined, bytes: 0 }
}

interface LastLine {
  readonly last: Line | undefined
  readonly endByte: number
  /** Something stands behind it that is none. */
  readonly problem: string | undefined
}

/** The last whole line; read from near the end of the file, or from its beginning where there is no line near it. */
async function lastLine(path: string, account: string): Promise<LastLine> {
  const { size } = await stat(path)
  const near = await wholeLines(path, account, await startNearEnd(path, size))
  const { last, endByte } = near.last === undefined ? await wholeLines(path, account, 0) : near
  const problem = endByte === size ? undefined : `${path}: what follows entry ${last?.seq ?? 'none'} is no line`
  return { last, endByte, problem }
}

/** Follows the lines from a position on, up to the first that is none. */
async function wholeLines(path: string, account: string, from: number): Promise<Omit<LastLine, 'problem'>> {
  let last: Line | undefined
  let endByte = from
  for await (const read of linesOf(path, from)) {
    const line = lineOrNone(read.bytes)
    if (line?.account !== account || (last && line.prev !== last.hash)) break
    last = line
    endByte = read.endByte
  }
  return { last, endByte: last === undefined ? 0 : endByte }
}

function lineOrNone(bytes: Buffer): Line | undefined {
  try {
    return readLine(bytes)
  } catch (error) {
    if (error instanceof BrokenLine) return undefined
    throw error
  }
}

/** A position at which a line begins, near the end of the file. */
async function startNearEnd(path: string, size: number): Promise<number> {
  const from = size - 4 * CHUNK_BYTES
  if (from <= 0) return 0
  const file = await open(path, 'r')
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES)
    await file.read(chunk, 0, CHUNK_BYTES, from)
    const at = chunk.indexOf(10)
    return at < 0 ? 0 : from + at + 1
  } finally {
    await file.close()
  }
}

/** Writes entries that follow `end`, and answers the new end when all of them are on disk. */
export async function writeEntries(
  directory: string,
  account: string,
  end: BooksEnd,
  entries: readonly RawEntry[],
  openFile: OpenFile = open,
): Promise<BooksEnd> {
  let { seq, hash, file, bytes } = end
  for (let i = 0; i < entries.length; ) {
    const isNew = file === undefined
    const path: string = file ?? join(directory, `${String(seq + 1).padStart(16, '0')}.jsonl`)
    let text = ''
    let length = 0
    for (; i < entries.length && bytes + length < FILE_BYTES; i++) {
      const entry = entries[i] as RawEntry
      if (entry.seq !== seq + 1) throw new Error(`entry ${entry.seq} of ${account} does not follow ${seq}`)
      const line = writeLine(account, entry, hash)
      text += line.text
      length += Buffer.byteLength(line.text)
      ;({ seq } = entry)
      ;({ hash } = line)
    }
    await writeAt(path, isNew, bytes, text, openFile)
    bytes += length
    file = bytes >= FILE_BYTES ? undefined : path
    if (file === undefined) bytes = 0
  }
  return { seq, hash, file, bytes }
}

async function writeAt(
  path: string,
  isNew: boolean,
  position: number,
  text: string,
  openFile: OpenFile,
): Promise<void> {
  if (isNew) await mkdir(dirname(path), { recursive: true })
  const file = await openFile(path, constants.O_RDWR | constants.O_CREAT)
  try {
    const data = Buffer.from(text)
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await file.write(data, done, data.length - done, position + done)
      done += bytesWritten
    }
    await file.datasync()
  } finally {
    await file.close()
  }
  if (isNew) await syncDirectory(dirname(path))
}

/** What was written but not acknowledged may not be on disk yet: the files from the one that has `seq` on. */
export async function syncFiles(directory: string, seq: number): Promise<void> {
  const files = await listFiles(directory)
  const first = Math.max(
    0,
    files.findLastIndex((file) => file.firstSeq <= seq),
  )
  for (const { path } of files.slice(first)) {
    const file = await open(path, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }
  await syncDirectory(directory)
}

/** The name of a new file is on disk with its directory. */
export async function syncDirectory(directory: string): Promise<void> {
  for (const path of [directory, dirname(directory), dirname(dirname(directory))]) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

/**
 * Takes the lines after `seq` out of the books into files of their own beside them, and answers their names: entries that
 * Redis has lost since (a failover), in whose place it has others.
 */
export async function setAside(directory: string, seq: number): Promise<readonly string[]> {
  const aside: string[] = []
  for (const file of (await listFiles(directory)).toReversed()) {
    if (file.firstSeq > seq) {
      aside.push(asideName(directory, file.firstSeq))
      await rename(file.path, aside.at(-1) as string)
      continue
    }
    const keepBytes = await endOf(file.path, seq)
    if (keepBytes === (await stat(file.path)).size) break
    const path = asideName(directory, seq + 1)
    await pipeline(createReadStream(file.path, { start: keepBytes }), createWriteStream(path, { flush: true }))
    await truncate(file.path, keepBytes)
    aside.push(path)
    break
  }
  if (aside.length > 0) await syncDirectory(directory)
  return aside
}

function asideName(directory: string, seq: number): string {
  return join(directory, `lost-${String(seq).padStart(16, '0')}-${randomBytes(4).toString('hex')}.jsonl`)
}

/** The position behind the line of `seq`. */
async function endOf(path: string, seq: number): Promise<number> {
  let end = 0
  for await (const { bytes, endByte } of linesOf(path)) {
    if ((seqOf(bytes) ?? 0) > seq) break
    end = endByte
  }
  return end
}
