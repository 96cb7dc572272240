import { type Call, type JsonObject, type JsonReply, jsonReply, otherReply } from './call.ts'
import { deleted, listOf } from './kept-objects.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

export interface KeptFile {
  readonly object: JsonObject
  readonly content: Buffer
}

/** `POST …/files`. Throws ProviderError for what the real one refuses. */
export function uploadFile(call: Call): JsonReply {
  const { file, purpose } = call.body
  if (!Buffer.isBuffer(file)) throw new ProviderError(400, "'file' is a required property", null, 'file')
  return jsonReply(keepFile(call, file, String(purpose ?? ''), call.idSeed))
}

export function keepFile(call: Call, content: Buffer, purpose: string, seed: number): JsonObject {
  const id = `file-${idTail(seed, 22)}`
  const object = {
    object: 'file',
    id,
    purpose,
    filename: 'file.jsonl',
    bytes: content.length,
    created_at: call.nowSeconds,
    expires_at: null,
    status: 'processed',
    status_details: null,
  }
  call.stored.files.keep(id, { object, content })
  return object
}

export function getFile(call: Call, id: string): JsonReply {
  return jsonReply(call.stored.files.get(id).object)
}

export function fileContent(call: Call, id: string): JsonReply {
  return otherReply(call.stored.files.get(id).content, 'application/octet-stream')
}

export function deleteFile(call: Call, id: string): JsonReply {
  call.stored.files.delete(id)
  return deleted('file', id)
}

export function listFiles(call: Call): JsonReply {
  return listOf(call.stored.files.all.map(({ object }) => object))
}
