/** Opens the upstream's side of a WebSocket. Only configured origins are dialled; redirects are not followed. */
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Limits, Upstream } from '../config/snapshot.ts'

/** OpenAI takes up to 15 MiB in one event. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024
const REFUSAL_BYTES_MAX = 64 * 1024
const HANDSHAKE_MS_MAX = 30_000

export interface DialRequest {
  /** With the query, as it stands on the wire. */
  readonly path: string
  /** [name, value, …] with our own credential. */
  readonly headers: readonly string[]
  readonly protocols: readonly string[]
}

/** The upstream did not switch protocols: its own answer, to be handed on. */
export interface UpstreamRefusal {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

export type Dialled =
  | { readonly socket: WebSocket }
  | { readonly refusal: UpstreamRefusal }
  | { readonly failure: string; readonly timeout: boolean }

/** Never rejects. A socket that comes is paused. */
export function dial(upstream: Upstream, request: DialRequest, limits: Limits): Promise<Dialled> {
  const { protocol, host } = upstream.baseUrl
  const scheme = protocol === 'https:' ? 'wss:' : 'ws:'
  const url = `${scheme}//${host}${request.path}`
  return new Promise((resolve) => {
    let socket: WebSocket
    try {
      socket = new WebSocket(url, [...request.protocols], {
        headers: headerFields(request.headers),
        handshakeTimeout: Math.min(HANDSHAKE_MS_MAX, limits.upstreamFirstByteStreamMs),
        maxPayload: FRAME_BYTES_MAX,
        perMessageDeflate: false,
        followRedirects: false,
      })
    } catch (error) {
      resolve({ failure: (error as Error).name, timeout: false })
      return
    }
    socket.once('open', () => {
      socket.pause()
      resolve({ socket })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ failure: error.code ?? error.name, timeout: /timed? ?out/i.test(error.message) })
    })
    socket.once('unexpected-response', (_request, answer: IncomingMessage) => {
      void readRefusal(answer).then((refusal) => {
        resolve({ refusal })
        socket.terminate()
      })
    })
  })
}

function headerFields(raw: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    // The handshake's own are made anew.
    if (name.toLowerCase().startsWith('sec-websocket-') || name.toLowerCase() === 'accept-encoding') continue
    const before = headers[name]
    const value = raw[i + 1] as string
    headers[name] = before === undefined ? value : [before, value].flat()
  }
  return headers
}

async function readRefusal(answer: IncomingMessage): Promise<UpstreamRefusal> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > REFUSAL_BYTES_MAX) break
      chunks.push(chunk)
    }
  } catch {
    // What there is of it is handed on.
  }
  return { status: answer.statusCode ?? 502, rawHeaders: answer.rawHeaders, body: Buffer.concat(chunks) }
}
