/** The request body, whole and bounded. Admission happens after the upload, so that slow uploads hold no money. */
import type { IncomingMessage } from 'node:http'
import type { TollgateResponse } from './tollgate-response.ts'
import type { UploadBudget } from './upload-budget.ts'

export type BodyResult =
  | { readonly body: Buffer }
  | { readonly problem: 'too_large' }
  /** The bodies of all calls together are at their bound. */
  | { readonly problem: 'no_room' }
  /** The client went away before the body was whole. */
  | { readonly problem: 'gone' }

const EMPTY = Buffer.alloc(0)

/** What is read counts against `budget` until the response is over. */
export function readBody(
  request: IncomingMessage,
  response: TollgateResponse,
  bytesMax: number,
  budget: UploadBudget,
): Promise<BodyResult> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > bytesMax) return Promise.resolve({ problem: 'too_large' })
  if (request.headers.expect !== undefined) response.writeContinue()
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      const tooLarge = bytes > bytesMax
      if (!tooLarge && response.keepUpload(budget, chunk.length)) {
        chunks.push(chunk)
        return
      }
      request.off('data', onData)
      chunks.length = 0
      resolve({ problem: tooLarge ? 'too_large' : 'no_room' })
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
