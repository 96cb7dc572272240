/** Free and unmetered paths, passed on as they are by `http-proxy`. */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Readable } from 'node:stream'
import './quiet-extend.ts'
import httpProxy from 'http-proxy'
import type { Upstream } from '../config/snapshot.ts'
import type { UpstreamCredentials } from './credentials/upstream-credentials.ts'
import { type AnswerEdit, passEdited } from './edited-answer.ts'
import { callerResponseHeaders, upstreamRequestHeaders } from './headers.ts'

export interface PassthroughResult {
  /** Status that the upstream gave; undefined where it gave none. */
  readonly status: number | undefined
  readonly bytes: number
}

export interface SendOptions {
  /** [name, value, …] added to the answer. */
  readonly ownHeaders: readonly string[]
  /** The request's, where it was read (as it must be for an upstream whose credential is a signature); else it passes as it comes. */
  readonly body?: Buffer
  /** Of a body that passes as it comes: RequestTooLarge beyond it. */
  readonly requestBytesMax?: number
  /** Sees a body that passes as it comes. Must not throw. */
  readonly onRequestBytes?: (chunk: Buffer) => void
  readonly watch?: AnswerWatch
  /** Changes the answer's headers, [name, value, …], before the caller gets them. */
  readonly editHeaders?: (headers: string[]) => void
  /** Changes the answer's body; not beside a watch. */
  readonly editBody?: AnswerEdit
}

/** Sees an answer that passes. Nothing of it may throw or reject. */
export interface AnswerWatch {
  onHead(status: number, encoding: string | undefined): void
  onData(chunk: Buffer): void
  /** After the last byte; the caller gets the answer's end when it resolves. */
  end(): Promise<void>
}

export class RequestTooLarge extends Error {}
/** The caller took longer than it may to send its body. */
export class RequestTooLate extends Error {}

export class Passthrough {
  readonly #proxy = httpProxy.createProxyServer({
    xfwd: false,
    changeOrigin: true,
    ignorePath: true,
    selfHandleResponse: true,
    proxyTimeout: 600_000,
  })
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https = new HttpsAgent({ keepAlive: true })

  readonly #credentials: UpstreamCredentials

  constructor(credentials: UpstreamCredentials) {
    this.#credentials = credentials
    this.#proxy.on('proxyReq', setHeaders)
    this.#proxy.on('proxyRes', passAnswer)
    // Without a listener its note of a client's reset would be an error that nothing catches.
    this.#proxy.on('econnreset', ignore)
  }

  /**
   * Resolves when the answer has ended either way; rejects where the upstream gave none that can be passed on and nothing
   * was answered, or no credential could be had.
   */
  async send(
    request: IncomingMessage,
    response: ServerResponse,
    upstream: Upstream,
    path: string,
    options: SendOptions,
  ): Promise<PassthroughResult> {
    const { body } = options
    const headers = requestHeaders(request, upstream, options)
    await this.#credentials.authorize(upstream, { method: request.method as string, path, headers, body })
    if (response.destroyed) return { status: undefined, bytes: 0 }
    return this.#forward(request, response, upstream, path, headers, options)
  }

  /** Ends a request whose body is still on its way: `send` rejects with RequestTooLate. */
  endLate(request: IncomingMessage, response: ServerResponse): void {
    const exchange = exchanges.get(response)
    if (exchange) endUpload(request, exchange, new RequestTooLate())
    else response.destroy()
  }

  #forward(
    request: IncomingMessage,
    response: ServerResponse,
    upstream: Upstream,
    path: string,
    headers: readonly string[],
    options: SendOptions,
  ): Promise<PassthroughResult> {
    const { body } = options
    // http-proxy copies these, and leaves our `proxyReq` out for a request with `Expect`: it gets nothing to copy.
    request.headers = {}
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        if (response.headersSent) response.destroy()
        else reject(error)
      }
      const exchange: Exchange = { headers, options, fail, outgoing: undefined, status: undefined, bytes: 0 }
      exchanges.set(response, exchange)
      response.once('close', () => {
        // http-proxy 1.18 leaves the upstream's side open when the client hangs up (its abort detection is dead since
        // Node 15.5), so it is closed here. After a whole answer this does nothing.
        if (!response.writableFinished) exchange.outgoing?.destroy()
        resolve({ status: exchange.status, bytes: exchange.bytes })
      })
      this.#proxy.web(
        request,
        response,
        {
          target: upstream.baseUrl.origin + path,
          agent: upstream.baseUrl.protocol === 'https:' ? this.#https : this.#http,
          ...(body === undefined ? {} : { buffer: Readable.from([body], { objectMode: false }) }),
        },
        fail,
      )
      // Only now: a listener makes the body flow, and nothing of it may come before the headers are set.
      if (body === undefined) watchRequest(request, exchange)
    })
  }

  close(): void {
    this.#proxy.close()
    this.#http.destroy()
    this.#https.destroy()
  }
}

interface Exchange {
  /** [name, value, …] as the upstream gets them, framing included. */
  readonly headers: readonly string[]
  readonly options: SendOptions
  fail(error: Error): void
  outgoing: ClientRequest | undefined
  status: number | undefined
  bytes: number
}

const exchanges = new WeakMap<object, Exchange>()

function exchangeOf(response: object): Exchange {
  return exchanges.get(response) as Exchange
}

/** The bytes of a body on their way: within its bound, and seen by whoever wants to. */
function watchRequest(request: IncomingMessage, exchange: Exchange): void {
  const { requestBytesMax, onRequestBytes } = exchange.options
  if (requestBytesMax === undefined && onRequestBytes === undefined) return
  let bytes = 0
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length
    if (requestBytesMax === undefined || bytes <= requestBytesMax) {
      onRequestBytes?.(chunk)
      return
    }
    request.off('data', onData)
    endUpload(request, exchange, new RequestTooLarge())
  }
  request.on('data', onData)
}

function endUpload(request: IncomingMessage, exchange: Exchange, error: Error): void {
  request.unpipe()
  exchange.fail(error)
  exchange.outgoing?.destroy()
}

function requestHeaders(request: IncomingMessage, upstream: Upstream, options: SendOptions): string[] {
  const { body, watch, editBody } = options
  const { 'accept-encoding': accepted, 'content-length': length, 'transfer-encoding': coding } = request.headers
  const headers = upstreamRequestHeaders(
    request.rawHeaders,
    upstream,
    // What is read beside the way is asked for plain.
    typeof accepted === 'string' && !watch && !editBody ? accepted : undefined,
  )
  // http-proxy gives a DELETE without a length the length 0, and its body would be the connection's next request: the
  // framing is written from what the caller sent.
  if (body !== undefined) headers.push('content-length', String(body.length))
  else if (coding !== undefined) headers.push('transfer-encoding', 'chunked')
  else if (length !== undefined) headers.push('content-length', length)
  return headers
}

/** Ours in place of what http-proxy made: the caller's credentials do not reach an upstream. */
function setHeaders(outgoing: ClientRequest, _request: IncomingMessage, response: ServerResponse): void {
  const exchange = exchangeOf(response)
  exchange.outgoing = outgoing
  const host = outgoing.getHeader('host')
  for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name)
  if (host !== undefined) outgoing.setHeader('host', host)
  const { headers } = exchange
  for (let i = 0; i < headers.length; i += 2) outgoing.appendHeader(headers[i] as string, headers[i + 1] as string)
  // An upgrade is nothing that the caller asked for.
  outgoing.once('upgrade', (_answer, socket) => {
    socket.destroy()
    exchange.fail(new Error('the upstream switched protocols'))
  })
}

/** Written here and not by http-proxy, which copies whatever an upstream says of the connection, and of us. */
function passAnswer(answer: IncomingMessage, _request: IncomingMessage, response: ServerResponse): void {
  const exchange = exchangeOf(response)
  exchange.status = answer.statusCode
  // One that breaks off must not look whole to the caller.
  answer.on('aborted', () => response.destroy())
  answer.on('data', (chunk: Buffer) => {
    exchange.bytes += chunk.length
  })
  try {
    if ((answer.statusCode ?? 0) < 200) throw new Error(`the upstream answered with the status ${answer.statusCode}`)
    const headers = callerResponseHeaders(answer.rawHeaders, false)
    const { ownHeaders, watch, editHeaders, editBody } = exchange.options
    editHeaders?.(headers)
    if (editBody) {
      passEdited(answer, response, [...headers, ...ownHeaders], editBody)
      return
    }
    response.writeHead(answer.statusCode as number, [...headers, ...ownHeaders])
    if (watch) passWatched(answer, response, watch)
    else answer.pipe(response)
  } catch (error) {
    exchange.outgoing?.destroy()
    exchange.fail(error as Error)
  }
}

/** The last piece waits until the watch is done: whoever has the whole answer may rely on what was read in it. */
function passWatched(answer: IncomingMessage, response: ServerResponse, watch: AnswerWatch): void {
  let last: Buffer | undefined
  watch.onHead(answer.statusCode as number, answer.headers['content-encoding'])
  answer.on('data', (chunk: Buffer) => {
    watch.onData(chunk)
    if (last !== undefined && !response.write(last)) {
      answer.pause()
      response.once('drain', () => answer.resume())
    }
    last = chunk
  })
  answer.on('end', () => void watch.end().then(() => response.end(last)))
}

function ignore(): void {}
