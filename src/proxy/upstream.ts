/** The upstream side of a call: one connection pool per upstream (origin and credential), `undici` without streams. */
import { type Dispatcher, Pool } from 'undici'
import type { Limits, Upstream } from '../config/snapshot.ts'

export interface UpstreamRequest {
  readonly method: string
  /** Path with query, as it stands on the wire. */
  readonly path: string
  readonly headers: string[]
  readonly body: Buffer | undefined
  readonly firstByteMs: number
}

/** Told of the answer as it comes. `pause` and `abort` are on the exchange. */
export interface AnswerListener {
  /** `raw`: [name, value, …] as bytes. */
  onHead(status: number, raw: readonly Buffer[]): void
  onData(chunk: Buffer): void
  onEnd(): void
  /** No onEnd follows. */
  onFailure(failure: UpstreamFailure): void
}

export interface UpstreamFailure {
  /** Whether any byte of the request may have reached the upstream. */
  readonly sent: boolean
  readonly timeout: boolean
  /** Closed by our own hand. */
  readonly aborted: boolean
  /** For the log: an error code, never a body. */
  readonly cause: string
}

const CONNECT_ERRORS = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** One request on its way: undici's handler with the state of this exchange, and no closures. */
export class UpstreamExchange implements Dispatcher.DispatchHandler {
  readonly #listener: AnswerListener
  readonly #request: UpstreamRequest
  readonly #pool: Pool
  readonly #limits: Limits
  #controller: Dispatcher.DispatchController | undefined
  #total: NodeJS.Timeout | undefined
  #attempts = 0
  #sent = false
  #ended = false
  #aborted = false
  #timedOut = false

  constructor(pool: Pool, limits: Limits, request: UpstreamRequest, listener: AnswerListener) {
    this.#pool = pool
    this.#limits = limits
    this.#request = request
    this.#listener = listener
  }

  start(): void {
    this.#attempts++
    this.#total ??= setTimeout(onTotalTimeout, this.#limits.upstreamTotalMs, this)
    try {
      this.#pool.dispatch(
        {
          method: this.#request.method as Dispatcher.HttpMethod,
          path: this.#request.path,
          headers: this.#request.headers,
          body: this.#request.body ?? null,
          headersTimeout: this.#request.firstByteMs,
          bodyTimeout: this.#limits.upstreamIdleMs,
        },
        this,
      )
    } catch (error) {
      this.#fail(codeOf(error))
    }
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    if (!this.#ended) this.#controller?.resume()
  }

  /** Closes the upstream's socket at once. A failure with `aborted` follows, if the exchange was still open. */
  abort(): void {
    if (this.#ended || this.#aborted) return
    this.#aborted = true
    if (this.#controller) this.#controller.abort(new Error('aborted by the gateway'))
    else this.#fail('aborted before it was sent')
  }

  timeOut(): void {
    this.#timedOut = true
    this.abort()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#aborted) {
      controller.abort(new Error('aborted by the gateway'))
      return
    }
    this.#sent = true
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    // An interim answer (103 and the like) is the upstream's to us, not the caller's.
    if (status < 200) return
    this.#listener.onHead(status, (controller.rawHeaders ?? []) as unknown as readonly Buffer[])
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#listener.onData(chunk)
  }

  onResponseEnd(): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#total)
    this.#listener.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const code = codeOf(error)
    // Nothing reached the upstream: the same hold may try once more.
    if (!this.#sent && !this.#aborted && this.#attempts === 1 && code === 'ECONNREFUSED') {
      setTimeout(restart, 50, this)
      return
    }
    this.#fail(code)
  }

  #fail(cause: string): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#total)
    this.#listener.onFailure({
      sent: this.#sent && !CONNECT_ERRORS.has(cause),
      timeout: this.#timedOut || cause.endsWith('_TIMEOUT') || cause === 'ETIMEDOUT',
      aborted: this.#aborted && !this.#timedOut,
      cause,
    })
  }
}

function codeOf(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException
  return code ?? name
}

function onTotalTimeout(exchange: UpstreamExchange): void {
  exchange.timeOut()
}

function restart(exchange: UpstreamExchange): void {
  exchange.start()
}

/** Pools by upstream, made once. Only configured origins are ever dialled; redirects are not followed. */
export class UpstreamPools {
  readonly #pools = new Map<string, Pool>()
  readonly #limits: Limits

  constructor(upstreams: readonly Upstream[], limits: Limits) {
    this.#limits = limits
    for (const upstream of upstreams) {
      this.#pools.set(
        upstream.name,
        new Pool(upstream.baseUrl.origin, {
          // HTTP/1.1 and one request a connection at a time: a stream that stalls must not hold up another caller's.
          allowH2: false,
          pipelining: 1,
          connect: { timeout: limits.upstreamConnectMs },
          keepAliveTimeout: 4_000,
          maxHeaderSize: 64 * 1024,
        }),
      )
    }
  }

  send(upstream: Upstream, request: UpstreamRequest, listener: AnswerListener): UpstreamExchange {
    const exchange = new UpstreamExchange(this.#pools.get(upstream.name) as Pool, this.#limits, request, listener)
    exchange.start()
    return exchange
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
  }
}

/**
 * Path on the wire: the base URL's path before the request's, where a part that ends the one and begins the other is
 * written once (`…/v1` + `/v1/chat/completions`).
 */
export function targetPath(upstream: Upstream, path: string, query: string): string {
  const base = upstream.baseUrl.pathname.replace(/\/+$/, '')
  return base + path.slice(overlap(base, path)) + query
}

function overlap(base: string, path: string): number {
  for (let length = Math.min(base.length, path.length); length > 0; length--) {
    const next = path[length]
    if ((next === undefined || next === '/') && base.endsWith(path.slice(0, length))) return length
  }
  return 0
}
