/** The data port: one request in, one answer out, whatever comes. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Settings } from '../config/snapshot.ts'
import { newId } from '../core/ids.ts'
import { type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import { InvalidCall, type Provider } from '../providers/provider.ts'
import { queryWithoutKey } from './authenticate.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { readCallerHeaders } from './caller-headers.ts'
import { callerKey } from './caller-key.ts'
import { forwardUnmetered } from './forward-unmetered.ts'
import { handleBatch } from './handle-batch.ts'
import { handleCall } from './handle-call.ts'
import { handleFree, notShared } from './handle-free.ts'
import type { IncomingCall, Whereabouts } from './read-call.ts'
import { requestProblem } from './request-gate.ts'
import { findRoute, isKnownInOtherCase, isUnmetered, touchesObjects, upstreamWithoutModel } from './route.ts'
import { TollgateResponse } from './tollgate-response.ts'
import { writeError } from './write-error.ts'

export function createGatewayServer(deps: CallDependencies, settings: Settings): Server {
  const { limits } = settings
  const onCall = (request: IncomingMessage, response: TollgateResponse): void => {
    onRequest(deps, request, response).catch((error: unknown) => {
      deps.log.error({ error }, 'an answer could not be written')
      response.destroy()
    })
  }
  const server = createServer<typeof IncomingMessage, typeof TollgateResponse>(
    {
      ServerResponse: TollgateResponse,
      // Java's client asks for h2c with each request: only a WebSocket is another protocol here.
      shouldUpgradeCallback: isWebSocket,
      headersTimeout: limits.headersMs,
      // Each body has its own time (upload-clock.ts); Node's is the last resort, where nobody reads one.
      requestTimeout: limits.headersMs + Math.max(limits.requestMs, limits.fileMs),
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: limits.headerBytes,
      noDelay: true,
    },
    onCall,
  )
  // "100 Continue" is sent when the upload is wanted: after the key and the length have been looked at.
  server.on('checkContinue', onCall)
  server.maxConnections = limits.connections
  server.maxRequestsPerSocket = limits.requestsPerSocket
  server.maxHeadersCount = limits.headerCount
  if (limits.connectionsPerAddress !== undefined) boundConnections(server, limits.connectionsPerAddress)
  return server
}

export function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

function boundConnections(server: Server, perAddress: number): void {
  const open = new Map<string, number>()
  const counted = new WeakSet<Socket>()
  server.on('connection', (socket: Socket) => {
    // One whose request asked for another protocol comes twice.
    if (counted.has(socket)) return
    counted.add(socket)
    const address = socket.remoteAddress ?? ''
    const count = (open.get(address) ?? 0) + 1
    if (count > perAddress) {
      socket.destroy()
      return
    }
    open.set(address, count)
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}

async function onRequest(deps: CallDependencies, request: IncomingMessage, response: TollgateResponse): Promise<void> {
  const startedMonotonicMs = performance.now()
  const startedAtMs = deps.now()
  const id = newId(startedAtMs)
  const where: Whereabouts = { dialect: 'openai', account: 'unknown', upstream: '', model: '', endpoint: '' }
  try {
    const snapshot = deps.snapshot()
    const problem = requestProblem(request, snapshot.settings.limits)
    if (problem !== undefined) {
      response.setHeader('connection', 'close')
      throw new Refusal(errorFacts('invalid_request', problem, id))
    }
    const found = findRoute(request.method as string, request.url as string, request.headers, snapshot, deps.providers)
    where.dialect = found.dialect
    const known = callerKey({ callers: deps.callers, tokens: deps.tokens, snapshot, request, id })
    const key = known instanceof Promise ? await known : known
    where.account = key.account.id
    if ('unknownUpstream' in found) {
      throw new Refusal(
        errorFacts('not_entitled', `No upstream is named "${found.unknownUpstream}".`, id, { rule: 'upstreams' }),
      )
    }
    const route = { ...found, query: queryWithoutKey(found.query) }
    const caller = readCallerHeaders(request, snapshot.settings.runHeaders)
    const operation = route.matches[0]?.operation
    where.endpoint = operation?.endpoint ?? 'unmetered'
    const incoming: IncomingCall = { id, startedAtMs, startedMonotonicMs, snapshot, key, caller, route, where }
    const kind = operation?.kind
    if (operation?.batch) await handleBatch(deps, incoming, request, response)
    else if (kind === 'metered') await handleCall(deps, incoming, request, response)
    else if (kind === 'free') await handleFree(deps, incoming, request, response)
    else await handleUnmetered(deps, incoming, request, response)
  } catch (error) {
    const facts = factsOf(error, deps, id)
    // A failure of the upstream was counted where it was met: it is no refusal.
    if (!facts.code.startsWith('upstream_')) deps.metrics.refused({ ...where, code: facts.code, rule: facts.rule })
    writeError(response, deps.providers.get(where.dialect) as Provider, facts)
  }
}

/** What is told of an exception on the way of a request. */
export function factsOf(error: unknown, deps: CallDependencies, id: string): ErrorFacts {
  if (error instanceof Refusal) return error.facts
  if (error instanceof InvalidCall)
    return errorFacts('invalid_request', error.message, id, { param: error.field ?? null })
  deps.log.error({ request_id: id, error }, 'a call failed in the gateway')
  return errorFacts(
    'internal',
    'The gateway failed on this call; nothing was charged for it that is not in the ledger. Try again.',
    id,
  )
}

async function handleUnmetered(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const { route, snapshot, key, id } = incoming
  const { settings } = snapshot
  const method = request.method as string
  const disguised = isKnownInOtherCase(method, route.path, deps.providers)
  const named = isUnmetered(method, route.path, settings)
  if (disguised || (!named && key.plan.enforcement !== 'observe')) {
    throw new Refusal(
      errorFacts(
        'endpoint_not_metered',
        disguised
          ? `${method} ${route.path} is served only as ${route.path.toLowerCase()}.`
          : `${method} ${route.path} is not metered here, and metering.unmetered_paths does not name it.`,
        id,
        { rule: 'metering.unmetered_paths' },
      ),
    )
  }
  const upstream = upstreamWithoutModel(route, settings)
  if (upstream === undefined)
    throw new Refusal(errorFacts('not_entitled', 'No upstream serves this path.', id, { rule: 'upstreams' }))
  // A path of the tables of objects has rules for each; what else looks like one is shared, or refused.
  const objects = route.matches.length > 0
  if (!objects && touchesObjects(route.path) && !upstream.shared) {
    throw notShared(incoming, upstream)
  }
  const ownHeaders: string[] = []
  if (!named) {
    const would = { code: 'endpoint_not_metered', rule: 'metering.unmetered_paths' }
    deps.metrics.wouldRefuse({ account: key.account.id, ...would })
    ownHeaders.push('x-tollgate-would', would.code)
  }
  const bytes = objects
    ? await handleFree(deps, incoming, request, response, { ownHeaders })
    : await forwardUnmetered(deps, incoming, upstream, 'unmetered', request, response, { ownHeaders })
  deps.metrics.unmeteredBytes(upstream.name, 'received', bytes)
}
