/** How far the books of accounts are, as Redis has it (`tg:{ACCOUNT}:exported`): what their files can be held against. */
import { accountKeys } from '../redis/keys.ts'
import { AllAccounts } from './all-accounts.ts'
import type { BooksRedis } from './books-target.ts'

export interface Acknowledged {
  /** Of the last entry that is on disk; 0: none. */
  readonly seq: number
  readonly hash: string
}

/** Of one directory of books. */
export interface BooksHead extends Acknowledged {
  readonly account: string
  /** The directory's id, which is in its books.json. */
  readonly books: string
}

export function readAcknowledged(text: unknown): Acknowledged {
  const match = /^(\d+) ([0-9a-f]{64})$/.exec(typeof text === 'string' ? text : '')
  return { seq: Number(match?.[1] ?? 0), hash: match?.[2] ?? '' }
}

const READS_AT_ONCE = 50

export class BooksHeads {
  readonly #redis: BooksRedis
  readonly #all: AllAccounts
  /** Of the walk that began last: the pages of one are of the same accounts. */
  #ids: readonly string[] = []

  constructor(redis: BooksRedis, configured: () => Iterable<string>) {
    this.#redis = redis
    this.#all = new AllAccounts(redis, configured)
  }

  async of(account: string): Promise<readonly BooksHead[]> {
    const reply = await this.#redis.call('HGETALL', accountKeys(account).exported)
    const fields = Array.isArray(reply) ? reply.map(String) : []
    const heads: BooksHead[] = []
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const [books = '', text] = [fields[i], fields[i + 1]]
      const { seq, hash } = readAcknowledged(text)
      // Beside the directories stands what the keeper notes of its own.
      if (/^[0-9a-f]{24}$/.test(books) && seq > 0) heads.push({ account, books, seq, hash })
    }
    return heads
  }

  /** Of at most `limit` accounts with ids after that one, files' and others'; `next`: where the rest begins. */
  async page(after: string | undefined, limit: number): Promise<{ heads: readonly BooksHead[]; next: string | null }> {
    if (after === undefined || this.#ids.length === 0) this.#ids = [...(await this.#all.list())].sort()
    const start = after === undefined ? 0 : this.#ids.findIndex((id) => id > after)
    const some = start < 0 ? [] : this.#ids.slice(start, start + limit)
    const heads: BooksHead[] = []
    for (let i = 0; i < some.length; i += READS_AT_ONCE) {
      const read = await Promise.all(some.slice(i, i + READS_AT_ONCE).map((account) => this.of(account)))
      heads.push(...read.flat())
    }
    const more = start >= 0 && start + some.length < this.#ids.length
    return { heads, next: more ? (some.at(-1) ?? null) : null }
  }
}
