/** An upstream that answers as a recorded provider did, its bytes cut as the request asks. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Cut, pieces } from './cuts.ts'
import type { Recording } from './recordings.ts'

export interface ReplayUpstream {
  readonly port: number
  close(): void
}

/** Which recording, and how it is cut, is said in the headers x-recording and x-cut. */
export async function startReplayUpstream(recordings: readonly Recording[], seed: number): Promise<ReplayUpstream> {
  const byId = new Map(recordings.map((recording) => [recording.id, recording]))
  const server: Server = createServer(
    { keepAliveTimeout: 65_000 },
    (request: IncomingMessage, response: ServerResponse) => {
      const recording = byId.get(request.headers['x-recording'] as string)
      request.resume()
      request.on('end', () => {
        if (!recording) {
          response.writeHead(500).end('no such recording')
          return
        }
        response.writeHead(recording.response.status, recording.response.headers)
        const body = Buffer.from(recording.response.bodyBase64, 'base64')
        send(response, pieces(body, request.headers['x-cut'] as Cut, seed), 0)
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Every few pieces the others have their turn, so that the gateway sees the cuts. */
function send(response: ServerResponse, parts: readonly Buffer[], from: number): void {
  for (let at = from; at < parts.length; at++) {
    response.write(parts[at] as Buffer)
    if (at % 16 === 15) {
      setImmediate(send, response, parts, at + 1)
      return
    }
  }
  response.end()
}
