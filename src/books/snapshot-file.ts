/**
 * The latest snapshot of an account beside its books, `snapshot.json`: its state right after an entry, so that a check of
 * the account begins there. It is written whole or not at all.
 */
import { hash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { LedgerSnapshot } from '../wallet/ledger.ts'
import { BooksDamaged, syncDirectory } from './account-files.ts'

interface SnapshotFile extends LedgerSnapshot {
  readonly account: string
  /** SHA-256 of account, sequence and state. */
  readonly hash: string
}

function digest(account: string, { seq, state }: LedgerSnapshot): string {
  return hash('sha256', `${account} ${seq} ${state}`)
}

/** Throws BooksDamaged where it is not what was written. */
export async function readSnapshot(directory: string, account: string): Promise<LedgerSnapshot | undefined> {
  const path = join(directory, 'snapshot.json')
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const { seq, state, hash: said, account: of } = parsed(text)
  if (of !== account || said !== digest(account, { seq, state }))
    throw new BooksDamaged(`${path} is not what was written; a new one is made where it is deleted`)
  return { seq, state }
}

function parsed(text: string): Partial<SnapshotFile> & LedgerSnapshot {
  try {
    return JSON.parse(text) as SnapshotFile
  } catch {
    return { seq: 0, state: '' }
  }
}

export async function writeSnapshot(directory: string, account: string, snapshot: LedgerSnapshot): Promise<void> {
  const path = join(directory, 'snapshot.json')
  const { seq, state } = snapshot
  // An account may be looked at before its first entry is exported.
  await mkdir(directory, { recursive: true })
  const file = await open(`${path}.new`, 'w')
  try {
    await file.writeFile(`${JSON.stringify({ account, seq, state, hash: digest(account, snapshot) })}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  await syncDirectory(directory)
}
