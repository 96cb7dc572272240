/** An upstream that writes down what reaches it, request by request and byte by byte. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'

export interface ReceivedRequest {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface CountingUpstream {
  readonly url: string
  readonly requests: ReceivedRequest[]
  /** Bytes that were no request: what a smuggled body looks like. */
  readonly malformed: number
  /** Connections open at this moment. */
  readonly sockets: number
  close(): Promise<void>
}

type Answer = (request: ReceivedRequest, response: ServerResponse) => void

export const CHAT_ANSWER = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5-mini',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
}

/** Answers with a small chat completion, unless told otherwise; `answer` is called once the request is whole. */
export async function startCountingUpstream(answer: Answer = answerChat): Promise<CountingUpstream> {
  const requests: ReceivedRequest[] = []
  const sockets = new Set<Socket>()
  let malformed = 0
  // Node's own 5 s are so near to the gateway's 4 s that on a busy machine a request meets the end of its connection.
  const server = createServer({ keepAliveTimeout: 65_000 }, (incoming, response) => {
    void wholeRequest(incoming).then((request) => {
      if (request === undefined) return
      requests.push(request)
      answer(request, response)
    })
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // A request that broke off is one that was not finished, not bytes that are none.
    if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE') malformed++
    socket.destroy()
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get malformed() {
      return malformed
    },
    get sockets() {
      return sockets.size
    },
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

export function answerChat(_request: ReceivedRequest, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(CHAT_ANSWER))
}

async function wholeRequest(incoming: IncomingMessage): Promise<ReceivedRequest | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
  } catch {
    return undefined
  }
  return {
    method: incoming.method as string,
    path: incoming.url as string,
    rawHeaders: incoming.rawHeaders,
    body: Buffer.concat(chunks).toString(),
  }
}

export interface RawUpstream {
  readonly url: string
  /** Connections that were made to it. */
  readonly connections: number
  readonly open: ReadonlySet<Socket>
  close(): void
}

/** Speaks bytes: `onRequest` is called at each piece of a request that ends one (a chat body is one piece here). */
export async function startRawUpstream(onRequest: (socket: Socket, text: string) => void): Promise<RawUpstream> {
  const open = new Set<Socket>()
  let connections = 0
  const server = createTcpServer((socket) => {
    connections++
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const head = text.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/content-length: *(\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
      if (text.length < head + 4 + length) return
      const request = text
      text = ''
      onRequest(socket, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections
    },
    open,
    close() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}
