import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { applyControls, defaultControls } from './controls.ts'
import { RealtimeSimulation } from './openai-realtime.ts'
import { openaiErrorBody, ProviderError, simulatedError } from './provider-errors.ts'
import { maskHeaders, type RequestLog } from './request-log.ts'

export function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

/** WebSockets of the simulated provider: `GET …/realtime`. Returns what closes them all. */
export function attachSockets(server: Server, log: RequestLog, seed: number): () => void {
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('realtime') ? 'realtime' : false),
  })
  const open = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = (request.url ?? '/').split('?', 1)[0] as string
    log.begin()
    log.record(
      { method: 'GET', path, headers: maskHeaders(request.headers), model: '', at: Date.now() },
      request.url ?? '',
    )
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      log.end('answered')
    })
    const problem = findProblem(request, path)
    if (problem) refuse(socket, problem)
    else sockets.handleUpgrade(request, socket, head, (webSocket) => new RealtimeSimulation(webSocket, request, seed))
  })
  return () => {
    for (const socket of open) socket.destroy()
  }
}

function findProblem(request: IncomingMessage, path: string): ProviderError | undefined {
  const { authorization, 'api-key': apiKey } = request.headers
  const controls = defaultControls()
  if (typeof request.headers['x-simulate'] === 'string') applyControls(controls, request.headers['x-simulate'])
  if (!path.endsWith('/realtime')) return new ProviderError(404, `Invalid URL (GET ${path})`)
  if (!authorization && !apiKey) return new ProviderError(401, 'Incorrect API key provided.', 'invalid_api_key')
  return controls.faults.has('error_before') ? simulatedError(controls.status) : undefined
}

function refuse(socket: Duplex, error: ProviderError): void {
  const body = openaiErrorBody(error)
  socket.end(
    `HTTP/1.1 ${error.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
