/** The request body, whole and bounded. Admission happens after the upload, so that slow uploads hold no money. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export type BodyResult =
  | { readonly body: Buffer }
  | { readonly problem: 'too_large' }
  /** The client went away before the body was whole. */
  | { readonly problem: 'gone' }

const EMPTY = Buffer.alloc(0)

export function readBody(request: IncomingMessage, response: ServerResponse, bytesMax: number): Promise<BodyResult> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > bytesMax) return Promise.resolve({ problem: 'too_large' })
  if (request.headers.expect !== undefined) response.writeContinue()
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes > bytesMax) {
        request.off('data', onData)
        chunks.length = 0
        resolve({ problem: 'too_large' })
      } else {
        chunks.push(chunk)
      }
    }
    request.on('data', onData)
    request.on('end', () => {
      resolve({
        body: chunks.length === 1 ? (chunks[0] as Buffer) : chunks.length === 0 ? EMPTY : Buffer.concat(chunks, bytes),
      })
    })
    request.on('error', () => resolve({ problem: 'gone' }))
    request.on('close', () => resolve({ problem: 'gone' }))
  })
}
