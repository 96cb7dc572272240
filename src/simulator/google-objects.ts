import type { IncomingMessage } from 'node:http'
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { countContents } from './google-content.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** What the bytes of a file come under: its start has JSON, what follows need not. `text`: each character is a byte. */
export function isUpload(request: IncomingMessage): boolean {
  return request.url?.startsWith('/upload/') === true
}

export function parseUpload(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    return { ...(isObject(value) ? value : {}), bytes: Buffer.from(text, 'latin1') }
  } catch {
    return { bytes: Buffer.from(text, 'latin1') }
  }
}

/** `POST /upload/…/files`: a start is answered with where the bytes go, the bytes with the file. */
export function uploadFile(call: Call): JsonReply {
  const command = String(call.headers['x-goog-upload-command'] ?? '')
  if (command.includes('start')) {
    const path = call.target.split('?', 1)[0]
    const address = `http://${call.headers.host}${path}?upload_id=${idTail(call.idSeed, 24)}&upload_protocol=resumable`
    return { ...jsonReply({}), headers: { 'x-goog-upload-url': address, 'x-goog-upload-status': 'active' } }
  }
  const upload = new URLSearchParams(call.target.split('?')[1]).get('upload_id') ?? ''
  const piece = Buffer.isBuffer(call.body['bytes']) ? call.body['bytes'] : Buffer.alloc(0)
  const content = Number(call.headers['x-goog-upload-offset'] ?? 0) > 0 ? before(call, upload, piece) : piece
  if (!command.includes('finalize')) {
    call.stored.googleUploads.keep(upload, content)
    return { ...jsonReply({}), headers: { 'x-goog-upload-status': 'active' } }
  }
  const name = `files/${idTail(call.idSeed, 12)}`
  const file = {
    name,
    mimeType: String(call.headers['x-goog-upload-header-content-type'] ?? 'text/plain'),
    uri: `https://generativelanguage.googleapis.com/v1beta/${name}`,
    state: 'ACTIVE',
  }
  call.stored.keep(name, { response: file, tokens: 0 })
  call.stored.googleFiles.keep(name, content)
  return { ...jsonReply({ file }), headers: { 'x-goog-upload-status': 'final' } }
}

function before(call: Call, upload: string, piece: Buffer): Buffer {
  return Buffer.concat([call.stored.googleUploads.get(upload), piece])
}

/** `POST …/cachedContents`. */
export function createCache(call: Call): JsonReply {
  const name = `cachedContents/${idTail(call.idSeed, 40)}`
  const tokens = call.controls.input ?? countContents(call.body)
  const cache = { name, model: call.body['model'], usageMetadata: { totalTokenCount: tokens } }
  call.stored.keep(name, { response: cache, tokens })
  return jsonReply(cache)
}

/** `GET …/files/:id`, `…/cachedContents/:id`; `name` is both. Throws ProviderError where there is none. */
export function getObject(call: Call, name: string): JsonReply {
  const found = call.stored.get(name)
  if (found === undefined) throw new ProviderError(404, 'Requested entity was not found.')
  return jsonReply(found.response)
}

export function deleteObject(call: Call, name: string): JsonReply {
  getObject(call, name)
  call.stored.delete(name)
  return jsonReply({})
}
