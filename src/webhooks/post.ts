/**
 * Posts to receivers: signed (Standard Webhooks), to the configured address alone, redirects not followed, bounded in
 * time, connections and bytes. Of what comes back the status counts; nothing of it is kept.
 */
import { Webhook } from 'standardwebhooks'
import { Pool } from 'undici'
import manifest from '../../package.json' with { type: 'json' }
import type { Receiver } from '../config/snapshot.ts'
import type { Message } from './event-body.ts'
import { readRetryAfter } from './retry.ts'

export type PostResult =
  | { readonly kind: 'delivered'; readonly status: number }
  /** 410: it wants no more. */
  | { readonly kind: 'gone'; readonly reason: string }
  | {
      readonly kind: 'failed'
      /** A status or an error's code: never a body. */
      readonly reason: string
      /** Whether it says something of the receiver, not of this event alone. */
      readonly ofReceiver: boolean
      readonly retryAfterMs: number | undefined
    }
  /** Ended by `close`. */
  | { readonly kind: 'stopped' }

export interface PosterOptions {
  readonly timeoutMs: number
  readonly connections: number
  readonly now: () => number
}

const ANSWER_BYTES_MAX = 64 * 1024
const KEEP_ALIVE_MS = 10_000

interface Line {
  readonly fingerprint: string
  readonly pool: Pool
  readonly signers: readonly Webhook[]
  readonly path: string
}

export class Poster {
  readonly #options: PosterOptions
  /** By receiver, so that a slow one has no share in the connections of another. */
  readonly #lines = new Map<string, Line>()
  readonly #closing = new AbortController()

  constructor(options: PosterOptions) {
    this.#options = options
  }

  /** Never rejects. */
  async post(receiver: Receiver, message: Message): Promise<PostResult> {
    if (this.#closing.signal.aborted) return { kind: 'stopped' }
    const { pool, signers, path } = this.#lineTo(receiver)
    const nowMs = this.#options.now()
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#options.timeoutMs)])
    try {
      const answer = await pool.request({
        method: 'POST',
        path,
        headers: headersOf(message, signers, nowMs),
        body: message.body,
        signal,
      })
      await readAway(answer.body)
      return resultOf(answer.statusCode, answer.headers['retry-after'], nowMs)
    } catch (error) {
      if (this.#closing.signal.aborted) return { kind: 'stopped' }
      return { kind: 'failed', reason: codeOf(error), ofReceiver: true, retryAfterMs: undefined }
    }
  }

  /** Closes the connections to receivers that are no more. */
  keepOnly(receivers: readonly Receiver[]): void {
    for (const [id, line] of this.#lines) {
      if (receivers.some((receiver) => receiver.id === id && receiver.fingerprint === line.fingerprint)) continue
      this.#lines.delete(id)
      void line.pool.close()
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all([...this.#lines.values()].map((line) => line.pool.destroy()))
    this.#lines.clear()
  }

  #lineTo(receiver: Receiver): Line {
    const known = this.#lines.get(receiver.id)
    if (known?.fingerprint === receiver.fingerprint) return known
    void known?.pool.close()
    const url = new URL(receiver.url)
    const { timeoutMs, connections } = this.#options
    const limits = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs, connect: { timeout: timeoutMs } }
    const line = {
      fingerprint: receiver.fingerprint,
      pool: new Pool(url.origin, { connections, keepAliveTimeout: KEEP_ALIVE_MS, ...limits }),
      signers: receiver.secrets.map((secret) => new Webhook(secret)),
      path: url.pathname + url.search,
    }
    this.#lines.set(receiver.id, line)
    return line
  }
}

/** Of several signatures a receiver takes the one that it has the secret of. */
function headersOf({ id, body }: Message, signers: readonly Webhook[], nowMs: number): Record<string, string> {
  return {
    'content-type': 'application/json',
    'user-agent': `tollgate/${manifest.version}`,
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(nowMs / 1000)),
    'webhook-signature': signers.map((signer) => signer.sign(id, new Date(nowMs), body)).join(' '),
  }
}

/** To its end, so that the connection can be used again; past the bound, or where it breaks off, that is closed. */
async function readAway(body: AsyncIterable<Buffer>): Promise<void> {
  let bytes = 0
  try {
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX) return
    }
  } catch {
    // The status came, and says all.
  }
}

function resultOf(status: number, retryAfter: string | string[] | undefined, nowMs: number): PostResult {
  if (status >= 200 && status < 300) return { kind: 'delivered', status }
  if (status === 410) return { kind: 'gone', reason: 'status 410' }
  return {
    kind: 'failed',
    reason: status >= 300 && status < 400 ? `status ${status}: redirects are not followed` : `status ${status}`,
    ofReceiver: status >= 500 || status === 429 || status === 408 || status < 400,
    retryAfterMs: typeof retryAfter === 'string' ? readRetryAfter(retryAfter, nowMs) : undefined,
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if (error.name === 'TimeoutError') return 'no answer in time'
  return String((error as { code?: unknown }).code ?? error.name)
}
