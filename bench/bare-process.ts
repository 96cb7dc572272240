/**
 * The least that a proxy on Node can be: `node:http` in front, `undici` behind, raw headers, nothing looked at. What the
 * gateway costs beyond it is our own doing. `bare-process.ts ORIGIN_PORT`; sends { port } to its parent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'

const [originPort] = process.argv.slice(2)
if (originPort === undefined) throw new Error('usage: bare-process.ts ORIGIN_PORT')
const pool = new Pool(`http://127.0.0.1:${originPort}`, { pipelining: 1 })
const DROPPED = new Set(['host', 'content-length', 'connection'])

class Exchange implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse

  constructor(response: ServerResponse) {
    this.#response = response
  }

  onRequestStart(): void {}

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const headers: string[] = []
    for (const bytes of (controller.rawHeaders ?? []) as unknown as readonly Buffer[]) {
      headers.push(bytes.toString('latin1'))
    }
    const framing = headers.indexOf('transfer-encoding')
    if (framing >= 0) headers.splice(framing, 2)
    this.#response.writeHead(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#response.write(chunk)
  }

  onResponseEnd(): void {
    this.#response.end()
  }

  onResponseError(): void {
    this.#response.destroy()
  }
}

function forward(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const headers: string[] = []
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] as string
    if (!DROPPED.has(name.toLowerCase())) headers.push(name, request.rawHeaders[i + 1] as string)
  }
  pool.dispatch({ method: 'POST', path: request.url as string, headers, body }, new Exchange(response))
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => forward(request, response, Buffer.concat(chunks)))
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
