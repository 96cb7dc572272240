/**
 * The public keys of one issuer: fetched from the URL of the config alone, when the first token comes, each ten minutes,
 * and when a token names a key that is not among them. Where the issuer is away those of the last hour still count. Each
 * fetch is told of as it ends.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

const FETCH_MS = 5_000
const REFRESH_MS = 600_000
const KEPT_MS = 3_600_000
/** Between two fetches for keys that are not there: whoever makes tokens up must not reach the issuer. */
const UNKNOWN_KEY_MS = 30_000
/** Between two that failed. */
const AGAIN_MS = 1_000
const BYTES_MAX = 256 * 1024

/** The issuer's keys cannot be had: nothing can be said of the token. */
export class IssuerAway extends Error {
  override readonly name = 'IssuerAway'
}

/** How a fetch ended. */
export type KeysFetch =
  | { readonly result: 'fetched' }
  /** `error`: what to look into; a JWKS is public, and nothing of the token is in it. `kept`: earlier keys still count. */
  | { readonly result: 'failed'; readonly error: unknown; readonly kept: boolean }

export interface IssuerKeysOptions {
  readonly nowMs: () => number
  readonly onFetch: (fetch: KeysFetch) => void
}

export class IssuerKeys {
  readonly #url: string
  readonly #nowMs: () => number
  readonly #onFetch: IssuerKeysOptions['onFetch']
  #keys: JWTVerifyGetKey | undefined
  #fetchedMs = Number.NEGATIVE_INFINITY
  #triedMs = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined

  constructor(url: string, options: IssuerKeysOptions) {
    this.#url = url
    this.#nowMs = options.nowMs
    this.#onFetch = options.onFetch
  }

  /** Throws IssuerAway, or jose's own error for a key that is not there. */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const keys = await this.#current()
    try {
      return await keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      // One that is under way may bring it.
      if (this.#running === undefined && this.#nowMs() - this.#triedMs < UNKNOWN_KEY_MS) throw error
      await this.#fetch()
      return await (this.#keys ?? keys)(header, token)
    }
  }

  async #current(): Promise<JWTVerifyGetKey> {
    if (this.#keys !== undefined && this.#kept()) {
      const age = this.#nowMs() - this.#fetchedMs
      if (age >= REFRESH_MS && this.#nowMs() - this.#triedMs >= UNKNOWN_KEY_MS) void this.#fetch().catch(() => {})
      return this.#keys
    }
    if (this.#running === undefined && this.#nowMs() - this.#triedMs < AGAIN_MS) throw new IssuerAway('just tried')
    await this.#fetch()
    return this.#keys as JWTVerifyGetKey
  }

  #kept(): boolean {
    return this.#nowMs() - this.#fetchedMs < KEPT_MS
  }

  /** Calls at the same time share one. */
  #fetch(): Promise<void> {
    this.#running ??= this.#fetchNow().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #fetchNow(): Promise<void> {
    this.#triedMs = this.#nowMs()
    try {
      const signal = AbortSignal.timeout(FETCH_MS)
      const answer = await fetch(this.#url, { redirect: 'error', signal, headers: { accept: 'application/json' } })
      if (answer.status !== 200) {
        await answer.body?.cancel()
        throw new Error(`it answered ${answer.status}`)
      }
      const keys = createLocalJWKSet(JSON.parse(await boundedText(answer)) as JSONWebKeySet)
      this.#keys = keys
      this.#fetchedMs = this.#nowMs()
      this.#onFetch({ result: 'fetched' })
    } catch (error) {
      this.#onFetch({ result: 'failed', error, kept: this.#kept() })
      throw new IssuerAway((error as Error).message, { cause: error })
    }
  }
}

async function boundedText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > BYTES_MAX) throw new Error(`its keys are more than ${BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}
