/**
 * The requests by which a file comes to Google's Files API: after a start, its bytes in one or several pieces.
 * Source: ai.google.dev/api/files, "Method: media.upload"; @google/genai src/cross/_cross_uploader.ts.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { UploadStep } from '../provider.ts'

/** Undefined: no bytes of a file, or in a form of their own (multipart). */
export function googleUploadStep(query: string, headers: IncomingHttpHeaders): UploadStep | undefined {
  const { 'x-goog-upload-protocol': protocol, 'x-goog-upload-command': command } = headers
  const { 'x-goog-upload-offset': offset } = headers
  const parameters = new URLSearchParams(query)
  if (protocol === 'raw' || parameters.get('uploadType') === 'media') return { id: undefined, offset: 0, last: true }
  const commands = String(command ?? '')
    .split(',')
    .map((word) => word.trim().toLowerCase())
  if (!commands.includes('upload')) return undefined
  const last = commands.includes('finalize')
  if (commands.includes('start')) return last ? { id: undefined, offset: 0, last } : undefined
  const id = parameters.get('upload_id')
  const at = Number(offset ?? Number.NaN)
  return id && id.length <= 1024 && Number.isSafeInteger(at) && at >= 0 ? { id, offset: at, last } : undefined
}
