/**
 * A directory of books, and who writes it. Several gateways may share it, or one alone may have it:
 *
 *   BOOKS/books.json   the directory's own id, made with it
 *   tg:books:NAME      hash: id (of the directory that has the books of this deployment), clean_ms (all entries that were
 *                      written before this time are exported)
 *   tg:books-lease:NAME   who writes now
 *
 * The first directory that a gateway brings is the deployment's; a gateway that finds another one at its path says so and
 * writes nothing, for its files would lack what came before. Among those that share it the lease decides.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RedisArgument } from '../redis/client.ts'
import { makeOnce } from './make-once.ts'

export interface BooksRedis {
  call(command: string, ...args: RedisArgument[]): Promise<unknown>
}

export interface BooksPlace {
  /** As the config names it: the same on every gateway. */
  readonly name: string
  /** Absolute. */
  readonly path: string
}

export const LEASE_MS = 30_000

export class BooksTarget {
  readonly path: string
  readonly name: string
  readonly #redis: BooksRedis
  readonly #owner = randomBytes(8).toString('hex')
  #id: string | undefined
  #renewedMs = 0

  constructor(redis: BooksRedis, place: BooksPlace) {
    this.#redis = redis
    this.path = place.path
    this.name = place.name
  }

  get #key(): string {
    return `tg:books:${this.name}`
  }

  get #lease(): string {
    return `tg:books-lease:${this.name}`
  }

  /** The id of the directory; made where it has none. */
  async id(): Promise<string> {
    if (this.#id !== undefined) return this.#id
    const file = join(this.path, 'books.json')
    await mkdir(this.path, { recursive: true })
    const books = readId((await readFile(file, 'utf8').catch(noneIfAbsent)) ?? (await makeOnce(file, ownId())))
    if (books === undefined) {
      throw new Error(
        `${file} has no id of books: bring it back from a copy, or delete it where nothing was exported to the directory yet`,
      )
    }
    this.#id = books
    return books
  }

  /** `other`: the books are in another directory. `busy`: another gateway writes. */
  async take(): Promise<'ours' | 'other' | 'busy'> {
    const id = await this.id()
    await this.#redis.call('HSETNX', this.#key, 'id', id)
    if ((await this.#redis.call('HGET', this.#key, 'id')) !== id) return 'other'
    const taken = await this.#redis.call('SET', this.#lease, this.#owner, 'NX', 'PX', LEASE_MS)
    return taken === 'OK' || (await this.#isOwner()) ? 'ours' : 'busy'
  }

  /**
   * To be asked between one piece of work and the next. A lease that ends between the question and a write does no harm:
   * lines stand where the ledger says, whoever writes them (account-files.ts).
   */
  async renew(nowMs: number): Promise<boolean> {
    if (nowMs - this.#renewedMs < LEASE_MS / 6) return true
    if (!(await this.#isOwner())) return false
    await this.#redis.call('PEXPIRE', this.#lease, LEASE_MS)
    this.#renewedMs = nowMs
    return true
  }

  async #isOwner(): Promise<boolean> {
    return (await this.#redis.call('GET', this.#lease)) === this.#owner
  }

  async release(): Promise<void> {
    if (await this.#isOwner()) await this.#redis.call('DEL', this.#lease)
  }

  async clean(atMs: number): Promise<void> {
    await this.#redis.call('HSET', this.#key, 'clean_ms', atMs)
  }

  /** Since when all is exported; undefined: never yet. */
  async cleanMs(): Promise<number | undefined> {
    const text = await this.#redis.call('HGET', this.#key, 'clean_ms')
    return typeof text === 'string' ? Number(text) : undefined
  }

  /** The id of the directory that has the books, whichever gateway has it. */
  async knownId(): Promise<string | undefined> {
    const text = await this.#redis.call('HGET', this.#key, 'id')
    return typeof text === 'string' ? text : undefined
  }
}

function noneIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function ownId(): string {
  return `${JSON.stringify({ books: randomBytes(12).toString('hex') })}\n`
}

function readId(text: string): string | undefined {
  try {
    const { books } = JSON.parse(text) as { readonly books?: unknown }
    return typeof books === 'string' && /^[0-9a-f]{24}$/.test(books) ? books : undefined
  } catch {
    return undefined
  }
}
