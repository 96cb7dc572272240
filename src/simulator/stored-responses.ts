import type { KeptMessageBatch } from './anthropic-batches.ts'
import type { JsonObject } from './call.ts'
import type { KeptGoogleBatch } from './google-batches.ts'
import type { JobProgress } from './job-progress.ts'
import { KeptObjects } from './kept-objects.ts'
import type { KeptMistralJob } from './mistral-batches.ts'
import type { KeptBatch } from './openai-batches.ts'
import type { KeptConversation } from './openai-conversations.ts'
import type { KeptFile } from './openai-files.ts'
import type { KeptXaiBatch } from './xai-batches.ts'

/** Enough for any test or demo; the oldest goes first. */
const STORED_MAX = 1000

/** What the provider keeps: responses for `GET /v1/responses/:id` and `previous_response_id`, and other objects beside them. */
export class StoredResponses {
  readonly #byId = new Map<string, StoredResponse>()
  readonly files = new KeptObjects<KeptFile>('File object')
  readonly batches = new KeptObjects<KeptBatch>('Batch')
  readonly mistralJobs = new KeptObjects<KeptMistralJob>('batch job')
  readonly xaiBatches = new KeptObjects<KeptXaiBatch>('batch')
  readonly messageBatches = new KeptObjects<KeptMessageBatch>('message batch')
  readonly googleBatches = new KeptObjects<KeptGoogleBatch>('batch')
  /** By their names. */
  readonly googleFiles = new KeptObjects<Buffer>('file')
  /** Bytes of a file of which more is to come, by the id of its upload. */
  readonly googleUploads = new KeptObjects<Buffer>('upload')
  readonly conversations = new KeptObjects<KeptConversation>('Conversation')

  get(id: string): StoredResponse | undefined {
    return this.#byId.get(id)
  }

  keep(id: string, stored: StoredResponse): void {
    this.#byId.set(id, stored)
    if (this.#byId.size <= STORED_MAX) return
    for (const oldest of this.#byId.keys()) {
      this.#byId.delete(oldest)
      return
    }
  }

  delete(id: string): boolean {
    return this.#byId.delete(id)
  }

  clear(): void {
    this.#byId.clear()
    for (const objects of [
      this.files,
      this.batches,
      this.mistralJobs,
      this.xaiBatches,
      this.messageBatches,
      this.googleBatches,
      this.googleFiles,
      this.googleUploads,
      this.conversations,
    ])
      objects.clear()
  }
}

export interface StoredResponse {
  readonly response: JsonObject
  /** Of a background response: what it is until it has its end. */
  readonly job?: { readonly progress: JobProgress; readonly begun: JsonObject }
  /** What a call that continues it reads: its input and its output. */
  readonly tokens: number
}
