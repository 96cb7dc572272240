/** Unmetered paths that the config names, passed on as they are by `http-proxy`. */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import httpProxy from 'http-proxy'
import type { Upstream } from '../config/snapshot.ts'
import { upstreamRequestHeaders } from './headers.ts'

export interface PassthroughResult {
  /** Status that the upstream gave; undefined where it gave none. */
  readonly status: number | undefined
  readonly bytes: number
}

export class Passthrough {
  readonly #proxy = httpProxy.createProxyServer({
    xfwd: false,
    changeOrigin: true,
    ignorePath: true,
    proxyTimeout: 600_000,
  })
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https = new HttpsAgent({ keepAlive: true })

  constructor() {
    this.#proxy.on('proxyReq', setHeaders)
    this.#proxy.on('proxyRes', (answer, _request, response) => {
      exchangeOf(response).status = answer.statusCode
      // One that breaks off must not look whole to the caller.
      answer.on('aborted', () => response.destroy())
      answer.on('data', (chunk: Buffer) => {
        exchangeOf(response).bytes += chunk.length
      })
    })
  }

  /** Resolves when the answer has ended either way; rejects where the upstream gave none and nothing was answered. */
  send(
    request: IncomingMessage,
    response: ServerResponse,
    upstream: Upstream,
    path: string,
  ): Promise<PassthroughResult> {
    const exchange: Exchange = { upstream, outgoing: undefined, status: undefined, bytes: 0 }
    exchanges.set(response, exchange)
    return new Promise((resolve, reject) => {
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
        },
        (error) => {
          if (response.headersSent) response.destroy()
          else reject(error)
        },
      )
    })
  }

  close(): void {
    this.#proxy.close()
    this.#http.destroy()
    this.#https.destroy()
  }
}

interface Exchange {
  readonly upstream: Upstream
  outgoing: ClientRequest | undefined
  status: number | undefined
  bytes: number
}

const exchanges = new WeakMap<object, Exchange>()

function exchangeOf(response: object): Exchange {
  return exchanges.get(response) as Exchange
}

/** Ours in place of what http-proxy copied: the caller's credentials do not reach an upstream. */
function setHeaders(outgoing: ClientRequest, request: IncomingMessage, response: ServerResponse): void {
  const exchange = exchangeOf(response)
  exchange.outgoing = outgoing
  const host = outgoing.getHeader('host')
  const length = request.headers['content-length']
  for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name)
  if (host !== undefined) outgoing.setHeader('host', host)
  const accepted = request.headers['accept-encoding']
  const headers = upstreamRequestHeaders(
    request.rawHeaders,
    exchange.upstream,
    typeof accepted === 'string' ? accepted : undefined,
  )
  for (let i = 0; i < headers.length; i += 2) outgoing.appendHeader(headers[i] as string, headers[i + 1] as string)
  // http-proxy drops the framing of a DELETE without a length: it is written from what the caller sent.
  if (length !== undefined) outgoing.setHeader('content-length', length)
  else if (request.headers['transfer-encoding'] !== undefined) outgoing.setHeader('transfer-encoding', 'chunked')
}
