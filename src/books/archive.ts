/** The exported books as readers of the ledger go on in them where Redis has no more. */
import type { LedgerArchive, LedgerSnapshot, RawEntry } from '../wallet/ledger.ts'
import { accountDirectory, readEntries } from './account-files.ts'
import { readSnapshot } from './snapshot-file.ts'

export class BooksArchive implements LedgerArchive {
  readonly #paths: readonly string[]

  /** Directories of books, in the order in which they are asked. */
  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  async read(account: string, fromSeq: number, beforeSeq: number, limit: number): Promise<readonly RawEntry[]> {
    for (const path of this.#paths) {
      const found = await readEntries(accountDirectory(path, account), account, fromSeq, beforeSeq, limit)
      if (found.length > 0) return found
    }
    return []
  }

  async snapshot(account: string): Promise<LedgerSnapshot | undefined> {
    for (const path of this.#paths) {
      const found = await readSnapshot(accountDirectory(path, account), account)
      if (found !== undefined) return found
    }
    return undefined
  }
}
