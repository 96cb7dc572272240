import type { IncomingMessage } from 'node:http'
import { AdminError, wrongField } from './admin-error.ts'

function tooLarge(bytesMax: number): AdminError {
  return new AdminError(413, 'body_too_large', `The body may have ${bytesMax} bytes.`)
}

/** The body as JSON; an empty one is an empty object. Throws AdminError 413, 415, 422 or 400. */
export async function readJsonBody(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    chunks.push(chunk)
  }
  if (bytes === 0) return {}
  // Forms and plain text are what a foreign web page can send without asking.
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new AdminError(415, 'invalid_request', 'Send JSON, with "Content-Type: application/json".')
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)), withoutReserved)
  } catch (error) {
    if (error instanceof AdminError) throw error
    throw new AdminError(400, 'invalid_request', 'The body is not JSON.')
  }
}

/** The schemas drop such a member without a word. */
function withoutReserved(name: string, value: unknown): unknown {
  if (name === RESERVED) throw wrongField(RESERVED, 'is a reserved word; take another name')
  return value
}

export const RESERVED = '__proto__'
