/** An answer that is changed on its way: held back until it is whole, as far as it is small and plain. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface AnswerEdit {
  /** A larger answer passes as it is. */
  readonly bytesMax: number
  /** Gives the body as the caller gets it. Must not throw. */
  edit(body: Buffer): Buffer
}

/** `headers`: [name, value, …] as they would be written for the answer unchanged. */
export function passEdited(
  answer: IncomingMessage,
  response: ServerResponse,
  headers: readonly string[],
  { bytesMax, edit }: AnswerEdit,
): void {
  const status = answer.statusCode as number
  const coding = answer.headers['content-encoding'] ?? 'identity'
  if (status >= 300 || coding !== 'identity' || Number(answer.headers['content-length'] ?? 0) > bytesMax) {
    response.writeHead(status, [...headers])
    answer.pipe(response)
    return
  }
  const pieces: Buffer[] = []
  let bytes = 0
  const onData = (chunk: Buffer): void => {
    pieces.push(chunk)
    bytes += chunk.length
    if (bytes <= bytesMax) return
    answer.off('data', onData)
    answer.off('end', onEnd)
    response.writeHead(status, [...headers])
    for (const piece of pieces) response.write(piece)
    answer.pipe(response)
  }
  const onEnd = (): void => {
    const body = edit(Buffer.concat(pieces))
    response.writeHead(status, withLength(headers, body.length))
    response.end(body)
  }
  answer.on('data', onData)
  answer.on('end', onEnd)
}

function withLength(headers: readonly string[], length: number): string[] {
  const rest = headers.filter((_, i) => (headers[i - (i % 2)] as string).toLowerCase() !== 'content-length')
  return [...rest, 'content-length', String(length)]
}
