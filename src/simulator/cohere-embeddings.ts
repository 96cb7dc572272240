import { type Call, isObject, type JsonObject, jsonReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { splitInput } from './generate-answer.ts'
import { ProviderError } from './provider-errors.ts'
import { createRandom, idTail } from './random.ts'

const DIMENSIONS = 8
const DOCUMENTS_A_SEARCH = 100

/** `POST /v1/embed`, `/v2/embed`. */
export function embed(call: Call): Reply {
  const { body } = call
  const texts = listOf(body['texts'])
  const inputs = [...texts, ...listOf(body['images']), ...listOf(body['inputs'])]
  if (inputs.length === 0) throw new ProviderError(400, 'invalid request: valid input texts must be provided')
  const random = createRandom(call.seed)
  const vectors = inputs.map(() => Array.from({ length: DIMENSIONS }, () => random.below(2000) / 1000 - 1))
  const v2 = call.target.includes('/v2/')
  const images = listOf(body['images']).length
  const billed = {
    ...(images > 0 ? { images } : {}),
    ...(inputs.length > images
      ? { input_tokens: splitInput(call, countInput(inputs.slice(0, inputs.length - images))).total }
      : {}),
  }
  return jsonReply({
    id: idTail(call.idSeed, 24),
    texts,
    embeddings: v2 ? { float: vectors } : vectors,
    ...metaOf(call, billed),
    response_type: v2 ? 'embeddings_by_type' : 'embeddings_floats',
  })
}

/** `POST /v1/rerank`, `/v2/rerank`: a search for each hundred documents; `usage_total`: by the token, as Voyage and Jina. */
export function rerank(call: Call): Reply {
  const documents = listOf(call.body['documents'])
  if (documents.length === 0) throw new ProviderError(400, 'invalid request: documents must not be empty')
  const random = createRandom(call.seed)
  const results = documents
    .map((_, index) => ({ index, relevance_score: random.below(1000) / 1000 }))
    .toSorted((a, b) => b.relevance_score - a.relevance_score)
    .slice(0, Number(call.body['top_n'] ?? call.body['top_k'] ?? documents.length))
  if (call.controls.faults.has('usage_total')) {
    const total_tokens = splitInput(
      call,
      countInput(documents) + documents.length * countInput(call.body['query']),
    ).total
    return jsonReply({ object: 'list', data: results, model: call.model, usage: { total_tokens } })
  }
  const billed = { search_units: Math.ceil(documents.length / DOCUMENTS_A_SEARCH) }
  return jsonReply({ id: idTail(call.idSeed, 24), results, ...metaOf(call, billed) })
}

/** `POST /v1/tokenize`, `/v1/detokenize`. */
export function tokenize(call: Call): Reply {
  const { text, tokens } = call.body
  if (Array.isArray(tokens)) return jsonReply({ text: tokens.join(' '), meta: { api_version: { version: '1' } } })
  const pieces = String(text ?? '').match(/.{1,4}/gs) ?? []
  return jsonReply({
    tokens: pieces.map((_, index) => index),
    token_strings: pieces,
    meta: { api_version: { version: '1' } },
  })
}

function metaOf(call: Call, billed_units: JsonObject): JsonObject {
  if (call.controls.faults.has('no_usage')) return {}
  return { meta: { api_version: { version: call.target.includes('/v2/') ? '2' : '1' }, billed_units } }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : isObject(value) ? [value] : []
}
