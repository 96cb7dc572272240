import { type Call, isObject, type JsonObject, jsonReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { either, eitherObject } from './google-words.ts'
import { ProviderError } from './provider-errors.ts'
import { createRandom, hashText } from './random.ts'

const DIMENSIONS = 768
/** Earlier models state no usage here. */
const STATING = /embedding-[2-9]/

/** `POST …:embedContent` and `…:batchEmbedContents`. */
export function embedContent(call: Call): Reply {
  const { body } = call
  const many = call.target.includes(':batchEmbedContents')
  const requests = many ? body['requests'] : [body]
  if (!Array.isArray(requests))
    throw new ProviderError(400, '* BatchEmbedContentsRequest.requests: at least one is needed')
  const contents = requests.map((request: unknown) => (isObject(request) ? request['content'] : undefined))
  const embeddings = contents.map((content) => ({ values: vector(call, content) }))
  const promptTokenCount = call.controls.input ?? Math.max(1, countInput(contents))
  const usage = {
    usageMetadata: { promptTokenCount, promptTokenDetails: [{ modality: 'TEXT', tokenCount: promptTokenCount }] },
  }
  const states = STATING.test(call.model) && !call.controls.faults.has('no_usage')
  return jsonReply({ ...(many ? { embeddings } : { embedding: embeddings[0] }), ...(states ? usage : {}) })
}

/** `POST …:predict`: pictures of Imagen, else embeddings of texts with statistics of each. */
export function predict(call: Call): Reply {
  const { instances } = call.body
  if (!Array.isArray(instances)) throw new ProviderError(400, 'Invalid JSON payload: instances is missing.')
  if (call.model.includes('imagen')) return jsonReply({ predictions: pictures(call, instances.length) })
  const predictions = instances.map((instance: unknown) => textEmbedding(call, isObject(instance) ? instance : {}))
  return jsonReply({ predictions, metadata: { billableCharacterCount: JSON.stringify(instances).length } })
}

function pictures(call: Call, instances: number): JsonObject[] {
  const samples = either(eitherObject(call.body, 'parameters'), 'sampleCount')
  const count = instances * (typeof samples === 'number' ? samples : 1)
  const bytes = Buffer.alloc(call.controls.bytes ?? 3_000, 7).toString('base64')
  return Array.from({ length: count }, () => ({ mimeType: 'image/png', bytesBase64Encoded: bytes }))
}

function textEmbedding(call: Call, instance: JsonObject): JsonObject {
  const tokens = call.controls.input ?? Math.max(1, countInput(instance['content']))
  const statistics = call.controls.faults.has('no_usage')
    ? {}
    : { statistics: { token_count: tokens, truncated: false } }
  return { embeddings: { values: vector(call, instance), ...statistics } }
}

function vector(call: Call, of: unknown): number[] {
  const random = createRandom(hashText(JSON.stringify(of) ?? '', call.seed))
  return Array.from({ length: DIMENSIONS }, () => (random.below(2001) - 1000) / 1000)
}
