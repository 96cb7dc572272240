/** The request body, whole and bounded. Admission happens after the upload, so that slow uploads hold no money. */
import type { IncomingMessage } from 'node:http'
import type { CallDependencies } from './call-dependencies.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import type { UploadLimit } from './upload-clock.ts'

export type BodyResult =
  | { readonly body: Buffer }
  | { readonly problem: 'too_large' }
  /** The bodies of all calls together are at their bound. */
  | { readonly problem: 'no_room' }
  | { readonly problem: 'too_late'; readonly limit: UploadLimit }
  /** The client went away before the body was whole. */
  | { readonly problem: 'gone' }

/** What a body is held to. */
export interface BodyBounds {
  readonly bytesMax: number
  readonly time: UploadLimit
}

const EMPTY = Buffer.alloc(0)

/** What is read counts against the bodies of all calls until the response is over. */
export function readBody(
  request: IncomingMessage,
  response: TollgateResponse,
  { bytesMax, time }: BodyBounds,
  { uploads, uploadClock }: Pick<CallDependencies, 'uploads' | 'uploadClock'>,
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
      if (!tooLarge && response.keepUpload(uploads, chunk.length)) {
        chunks.push(chunk)
        return
      }
      stop({ problem: tooLarge ? 'too_large' : 'no_room' })
    }
    const stop = (result: BodyResult): void => {
      uploadClock.end(request)
      request.off('data', onData)
      chunks.length = 0
      resolve(result)
    }
    uploadClock.begin(request, time, (limit) => stop({ problem: 'too_late', limit }))
    request.on('data', onData)
    request.on('end', () => {
      uploadClock.end(request)
      resolve({
        body: chunks.length === 1 ? (chunks[0] as Buffer) : chunks.length === 0 ? EMPTY : Buffer.concat(chunks, bytes),
      })
    })
    request.on('error', () => stop({ problem: 'gone' }))
    request.on('close', () => resolve({ problem: 'gone' }))
  })
}
