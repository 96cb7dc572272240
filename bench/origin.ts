/**
 * The origin that every row ends at, a process of its own: raw sockets and answers made beforehand, so that it is
 * never what is measured. Sends { port } to its parent; ends with it.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { jsonAnswer, monotonicMicros, PACE_MS, STREAM_HEAD, streamEnd, TEXT_EVENTS, textEvent } from './traffic.ts'

const JSON_ANSWER = jsonAnswer()
const TEXT = textEvent('0'.repeat(16))
const END = streamEnd()
const HEAD_END = Buffer.from('\r\n\r\n')
const STREAM_MARK = Buffer.from('"stream":true')
const PACED_MARK = Buffer.from('"gpt-bench-paced"')

class Exchange {
  readonly #socket: Socket
  #pending: Buffer | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', () => socket.destroy())
  }

  /** Requests come one at a time on a connection: no pipelining. */
  #read(bytes: Buffer): void {
    const request = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes])
    const headEnd = request.indexOf(HEAD_END)
    const length =
      headEnd < 0 ? Number.POSITIVE_INFINITY : headEnd + 4 + bodyLength(request.toString('latin1', 0, headEnd))
    if (request.length < length) {
      this.#pending = request
      return
    }
    this.#pending = undefined
    this.#answer(request)
  }

  #answer(request: Buffer): void {
    if (request.indexOf(STREAM_MARK) < 0) this.#socket.write(JSON_ANSWER)
    else if (request.indexOf(PACED_MARK) < 0) this.#burst()
    else this.#paced()
  }

  #burst(): void {
    this.#socket.write(STREAM_HEAD)
    for (let i = 0; i < TEXT_EVENTS; i++) this.#socket.write(TEXT)
    for (const piece of END) this.#socket.write(piece)
  }

  #paced(): void {
    let sent = 0
    this.#socket.write(STREAM_HEAD)
    const timer = setInterval(() => {
      if (this.#socket.destroyed) return clearInterval(timer)
      this.#socket.write(textEvent(String(monotonicMicros()).padStart(16, '0')))
      if (++sent < TEXT_EVENTS) return
      clearInterval(timer)
      for (const piece of END) this.#socket.write(piece)
    }, PACE_MS)
  }
}

function bodyLength(head: string): number {
  return Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
}

const server = createServer((socket) => void new Exchange(socket))
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
process.on('disconnect', () => process.exit())
