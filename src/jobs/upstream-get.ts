/** A GET of the gateway's own: its body passes piece by piece, and is never kept. */
import type { Upstream } from '../config/snapshot.ts'
import { createDecoder, type Decoder } from '../meter/decode.ts'
import { NoCredential, type UpstreamCredentials } from '../proxy/credentials/upstream-credentials.ts'
import { rawHeader, upstreamRequestHeaders } from '../proxy/headers.ts'
import {
  type AnswerListener,
  targetPath,
  type UpstreamExchange,
  type UpstreamFailure,
  type UpstreamPools,
} from '../proxy/upstream.ts'

export interface GetRequest {
  readonly upstream: Upstream
  /** With its query. */
  readonly path: string
  /** [name, value, …] beside the upstream's own. */
  readonly headers: readonly string[]
  readonly firstByteMs: number
}

export interface GetAnswer {
  readonly status: number
  readonly retryAfterSeconds: number | undefined
}

/** The upstream gave no whole answer. The message is an error code, never a body. */
export class NoAnswer extends Error {}

/** `onBytes` gets the body of a 2xx, decoded. Rejects with NoAnswer, or with what `onBytes` throws. */
export async function upstreamGet(
  { pools, credentials }: { readonly pools: UpstreamPools; readonly credentials: UpstreamCredentials },
  request: GetRequest,
  onBytes: (bytes: Buffer) => void,
): Promise<GetAnswer> {
  const { upstream, path, headers, firstByteMs } = request
  const mark = path.indexOf('?')
  const [bare, query] = mark < 0 ? [path, ''] : [path.slice(0, mark), path.slice(mark)]
  const sent = {
    method: 'GET',
    path: targetPath(upstream, bare, query),
    headers: upstreamRequestHeaders(headers, upstream, undefined),
    body: undefined,
    firstByteMs,
  }
  try {
    await credentials.authorize(upstream, sent)
  } catch (error) {
    throw error instanceof NoCredential ? new NoAnswer('no credential') : error
  }
  const answer = await new Promise<GetAnswer>((resolve, reject) => {
    const listener = new GetListener(onBytes, resolve, reject)
    listener.exchange = pools.send(upstream, sent, listener)
  })
  if (answer.status === 401 || answer.status === 403) credentials.refused(upstream)
  return answer
}

/** Results of a large batch are compressed well; what goes beyond is no result. */
const DECODED = { bytesMax: 4 * 1024 * 1024 * 1024, ratioMax: 1000 }

class GetListener implements AnswerListener {
  exchange: UpstreamExchange | undefined
  readonly #onBytes: (bytes: Buffer) => void
  readonly #resolve: (answer: GetAnswer) => void
  readonly #reject: (error: unknown) => void
  #answer: GetAnswer = { status: 0, retryAfterSeconds: undefined }
  #decoder: Decoder | undefined
  #decoded: Promise<void> = Promise.resolve()

  constructor(
    onBytes: (bytes: Buffer) => void,
    resolve: (answer: GetAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#onBytes = onBytes
    this.#resolve = resolve
    this.#reject = reject
  }

  onHead(status: number, raw: readonly Buffer[]): void {
    const retryAfter = rawHeader(raw, 'retry-after')
    const retryAfterSeconds = retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined
    this.#answer = { status, retryAfterSeconds }
    this.#decoder = createDecoder(rawHeader(raw, 'content-encoding'), (bytes) => this.#take(bytes), DECODED)
  }

  onData(chunk: Buffer): void {
    const { status } = this.#answer
    if (status < 200 || status >= 300) return
    const decoder = this.#decoder
    if (decoder === undefined) {
      this.#take(chunk)
      return
    }
    this.exchange?.pause()
    this.#decoded = this.#decoded.then(() => decoder.write(chunk)).then(() => this.exchange?.resume())
  }

  onEnd(): void {
    void this.#decoded.then(async () => {
      await this.#decoder?.end()
      if (this.#decoder?.failure) this.#reject(new NoAnswer(`the answer's encoding is ${this.#decoder.failure}`))
      else this.#resolve(this.#answer)
    })
  }

  onFailure(failure: UpstreamFailure): void {
    this.#decoder?.destroy()
    this.#reject(new NoAnswer(failure.cause))
  }

  #take(bytes: Buffer): void {
    try {
      this.#onBytes(bytes)
    } catch (error) {
      this.#reject(error)
      this.exchange?.abort()
    }
  }
}
