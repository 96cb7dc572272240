/**
 * Requests that become a WebSocket: known, admitted and held as any other call, then dialled upstream; the caller's side
 * is opened only when the upstream's is, so that every refusal is a plain answer.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { newId } from '../core/ids.ts'
import { errorFacts, Refusal } from '../errors.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import { moneyHeaders } from '../http/answer-headers.ts'
import { queryWithoutKey } from '../http/authenticate.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import { readCallerHeaders } from '../http/caller-headers.ts'
import { callerKey } from '../http/caller-key.ts'
import type { Ending } from '../http/decide-end.ts'
import { answerRefusal } from '../http/dry-run.ts'
import { admitCall } from '../http/handle-call.ts'
import { firstHeld } from '../http/held-money.ts'
import { type IncomingCall, readCall, type Whereabouts } from '../http/read-call.ts'
import { requestProblem } from '../http/request-gate.ts'
import { findRoute } from '../http/route.ts'
import { factsOf, isWebSocket } from '../http/server.ts'
import { endCall } from '../http/settlement.ts'
import { TollgateResponse } from '../http/tollgate-response.ts'
import { writeError } from '../http/write-error.ts'
import { readProtocols } from '../providers/openai/realtime.ts'
import { type Provider, SOCKET } from '../providers/provider.ts'
import { callerResponseHeaders } from '../proxy/headers.ts'
import { connectUpstream } from './connect-upstream.ts'
import { FRAME_BYTES_MAX, type UpstreamRefusal } from './dial.ts'
import { openUnmetered } from './open-unmetered.ts'
import { RealtimeSession } from './realtime-session.ts'

const EMPTY = Buffer.alloc(0)
const KEY = /^[+/0-9A-Za-z]{22}==$/

/** What the answer that opens a caller's socket says. */
interface Opening {
  readonly headers: readonly string[]
  readonly protocol: string
}

export class SocketGate {
  readonly #deps: CallDependencies
  readonly #openings = new WeakMap<IncomingMessage, Opening>()
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    handleProtocols: (_offered, request) => this.#openings.get(request)?.protocol || false,
  })

  constructor(deps: CallDependencies) {
    this.#deps = deps
    this.#server.on('headers', (lines, request) => {
      const headers = this.#openings.get(request)?.headers ?? []
      for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
    })
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => {
      if (!isWebSocket(request)) {
        readAsPlainRequest(server, request, socket, head)
        return
      }
      // A reset is seen where the socket is used.
      socket.on('error', () => {})
      this.#onUpgrade(request, socket, head).catch((error: unknown) => {
        this.#deps.log.error({ error }, 'a socket could not be opened')
        socket.destroy()
      })
    })
  }

  async #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const deps = this.#deps
    const startedMonotonicMs = performance.now()
    const startedAtMs = deps.now()
    const id = newId(startedAtMs)
    const where: Whereabouts = { dialect: 'openai', account: 'unknown', upstream: '', model: '', endpoint: '' }
    const response = responseOn(request, socket)
    try {
      const snapshot = deps.snapshot()
      const problem = requestProblem(request, snapshot.settings.limits) ?? socketProblem(request)
      if (problem !== undefined) throw new Refusal(errorFacts('invalid_request', problem, id))
      const found = findRoute(SOCKET, request.url as string, request.headers, snapshot, deps.providers)
      where.dialect = found.dialect
      const metering = 'matches' in found ? found.matches[0]?.operation.metering?.socket : undefined
      const protocols = (metering?.readProtocols ?? readProtocols)(offeredProtocols(request))
      const more = [protocols.key, ...keysInQuery(request.url as string)]
      const key = await callerKey({ callers: deps.callers, tokens: deps.tokens, snapshot, request, id, more })
      where.account = key.account.id
      if ('unknownUpstream' in found)
        throw new Refusal(
          errorFacts('not_entitled', `No upstream is named "${found.unknownUpstream}".`, id, { rule: 'upstreams' }),
        )
      const route = { ...found, query: queryWithoutKey(found.query, 'api-key') }
      const caller = readCallerHeaders(request, snapshot.settings.runHeaders)
      where.endpoint = route.matches[0]?.operation.endpoint ?? 'unmetered'
      const incoming: IncomingCall = { id, startedAtMs, startedMonotonicMs, snapshot, key, caller, route, where }
      const opener = (headers: readonly string[], protocol: string) =>
        this.#open(request, socket, head, { headers, protocol })
      if (!metering) await openUnmetered(deps, incoming, request, protocols.forwarded, opener)
      else await this.#openMetered(incoming, request, response, protocols.forwarded, opener)
    } catch (error) {
      const facts = factsOf(error, deps, id)
      if (!facts.code.startsWith('upstream_')) deps.metrics.refused({ ...where, code: facts.code, rule: facts.rule })
      writeError(response(), deps.providers.get(where.dialect) as Provider, facts, ['connection', 'close'])
    }
  }

  async #openMetered(
    incoming: IncomingCall,
    request: IncomingMessage,
    response: () => TollgateResponse,
    protocols: readonly string[],
    open: Opener,
  ): Promise<void> {
    const deps = this.#deps
    let admitted: AdmittedCall | undefined
    try {
      const read = readCall(deps, incoming, request, EMPTY, undefined, 0)
      admitted = await admitCall(deps, read, response)
    } catch (error) {
      if (!incoming.caller.dryRun) throw error
      answerRefusal(deps, incoming, error, response())
      return
    }
    if (!admitted) return
    const sentMonotonicMs = performance.now()
    const void_ = (ending: Ending, status: number | undefined): void => {
      endCall(deps, admitted, {
        ...NOTHING,
        ending,
        status,
        sentMonotonicMs,
        held: firstHeld(admitted),
      })
    }
    deps.outbox.dispatched(admitted.terms)
    const dialled = await connectUpstream(deps, incoming, admitted.upstream, request, protocols).catch(
      (error: unknown) => {
        void_('never_sent', undefined)
        throw error
      },
    )
    if ('refusal' in dialled) {
      void_('refused', dialled.refusal.status)
      handOn(response(), admitted, dialled.refusal)
      return
    }
    const caller = open(
      ['x-tollgate-request-id', admitted.id, ...moneyHeaders(admitted, undefined)],
      dialled.socket.protocol,
    )
    if (!caller) {
      void_('never_sent', undefined)
      dialled.socket.terminate()
      return
    }
    const reader = admitted.metering.socket?.createReader(admitted.call, incoming.snapshot.settings.limits.jsonDepth)
    if (!reader) throw new Error('the operation is no socket')
    new RealtimeSession({ deps, admitted, reader, caller, upstream: dialled.socket, sentMonotonicMs }).start()
  }

  /** Undefined: the caller has gone. */
  #open(request: IncomingMessage, socket: Duplex, head: Buffer, opening: Opening): WebSocket | undefined {
    let opened: WebSocket | undefined
    this.#openings.set(request, opening)
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      opened = webSocket
    })
    return opened
  }
}

export type Opener = (headers: readonly string[], protocol: string) => WebSocket | undefined

const NOTHING = {
  facts: { usage: undefined, model: undefined, providerId: undefined, serviceTier: undefined, storedId: undefined },
  usageFinal: false,
  failedInside: false,
  outputTokens: 0,
  unread: false,
  firstByteMonotonicMs: undefined,
} as const

/** A plain answer where no socket is opened; made only then, since it takes the connection over. */
function responseOn(request: IncomingMessage, socket: Duplex): () => TollgateResponse {
  let response: TollgateResponse | undefined
  return () => {
    if (response) return response
    response = new TollgateResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket as Parameters<TollgateResponse['assignSocket']>[0])
    response.once('finish', () => socket.end())
    return response
  }
}

/** What the handshake lacks, as a sentence: what `ws` would refuse is refused before anything is held. */
/**
 * Before its `shouldUpgradeCallback`, Node hands over every request that asks for another protocol, as Java's client does
 * with h2c. Its head is read again without that wish, before the bytes that came after it.
 */
function readAsPlainRequest(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'upgrade') text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  }
  if (head.length > 0) socket.unshift(head)
  socket.unshift(Buffer.from(`${text}\r\n`, 'latin1'))
  server.emit('connection', socket)
}

function socketProblem(request: IncomingMessage): string | undefined {
  const { headers, method } = request
  if (method !== 'GET') return 'A WebSocket is opened by GET.'
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
    return 'A request for a WebSocket has no body.'
  if (headers['sec-websocket-version'] !== '13') return 'Sec-WebSocket-Version must be 13.'
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return 'Sec-WebSocket-Key is missing or no key.'
  if (offeredProtocols(request).some((name) => !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,1024}$/.test(name)))
    return 'Sec-WebSocket-Protocol has a name that is no token.'
  return undefined
}

function offeredProtocols(request: IncomingMessage): readonly string[] {
  const value = request.headers['sec-websocket-protocol']
  return value === undefined ? [] : value.split(',').map((name) => name.trim())
}

/** Azure's clients in browsers. */
function keysInQuery(target: string): readonly string[] {
  const mark = target.indexOf('?')
  return mark < 0 ? [] : new URLSearchParams(target.slice(mark)).getAll('api-key')
}

/** The upstream's own refusal, as it came. */
function handOn(response: TollgateResponse, admitted: AdmittedCall, refusal: UpstreamRefusal): void {
  const headers = callerResponseHeaders(refusal.rawHeaders, true)
  headers.push(
    'content-length',
    String(refusal.body.length),
    'x-tollgate-request-id',
    admitted.id,
    'connection',
    'close',
  )
  response.writeHead(refusal.status, [...headers, ...moneyHeaders(admitted, undefined)])
  response.end(refusal.body)
}
