/**
 * What the lines of uploaded files come to, kept in Redis under the file's id for the batch that will be made of it: a few
 * numbers for each model, never the lines themselves.
 */
import type { Upstream } from '../config/snapshot.ts'
import type { BatchSummary } from '../core/batch-sum.ts'
import type { SavedLines } from './lines-reading.ts'
import type { ObjectStoreClient } from './provider-objects.ts'

/** A file as it passed: its lines, or why no batch can be made of it. */
export type BatchFile =
  | { readonly summary: BatchSummary; readonly objects: readonly string[] }
  /** For the caller: names the line. */
  | { readonly problem: string }

// As long as who made it is remembered.
const KEPT_MS = 365 * 24 * 3600 * 1000

/** Google's uploads may be gone on with for two days. */
const PIECE_KEPT_MS = 3 * 24 * 3600 * 1000

/** A file of which more is to come, by the id of its upload. */
export interface FilePiece {
  /** Bytes that passed. */
  readonly offset: number
  readonly lines: SavedLines
}

const pieceKeyOf = (upstream: Pick<Upstream, 'name'>, id: string): string => `tg:batch-upload:${upstream.name} ${id}`
const keyOf = (upstream: Pick<Upstream, 'name'>, id: string): string => `tg:batch-file:${upstream.name} ${id}`

export class BatchFiles {
  readonly #redis: ObjectStoreClient

  constructor(redis: ObjectStoreClient) {
    this.#redis = redis
  }

  /** Undefined: no file with lines passed under this id. Throws WalletUnavailable. */
  async find(id: string, upstream: Pick<Upstream, 'name'>): Promise<BatchFile | undefined> {
    const text = await this.#redis.call('GET', keyOf(upstream, id))
    return typeof text === 'string' ? (JSON.parse(text) as BatchFile) : undefined
  }

  /** Throws WalletUnavailable. */
  async keep(id: string, upstream: Pick<Upstream, 'name'>, file: BatchFile): Promise<void> {
    await this.#redis.call('SET', keyOf(upstream, id), JSON.stringify(file), 'PX', KEPT_MS)
  }

  /** Throws WalletUnavailable. */
  async findPiece(uploadId: string, upstream: Pick<Upstream, 'name'>): Promise<FilePiece | undefined> {
    const text = await this.#redis.call('GET', pieceKeyOf(upstream, uploadId))
    return typeof text === 'string' ? (JSON.parse(text) as FilePiece) : undefined
  }

  /** Throws WalletUnavailable. */
  async keepPiece(uploadId: string, upstream: Pick<Upstream, 'name'>, piece: FilePiece): Promise<void> {
    await this.#redis.call('SET', pieceKeyOf(upstream, uploadId), JSON.stringify(piece), 'PX', PIECE_KEPT_MS)
  }

  /** It is gone at the provider. Throws WalletUnavailable. */
  async forget(id: string, upstream: Pick<Upstream, 'name'>): Promise<void> {
    await this.#redis.call('DEL', keyOf(upstream, id))
  }
}
