/** The exported books as readers of the ledger go on in them where Redis has no more. */
import type { LedgerArchive, RawEntry } from '../wallet/ledger.ts'
import { accountDirectory, readEntries } from './account-files.ts'

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
}
