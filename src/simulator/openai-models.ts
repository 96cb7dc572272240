import { type JsonReply, jsonReply } from './call.ts'
import { ProviderError } from './provider-errors.ts'

const OPENAI_MODELS = ['gpt-5-mini', 'gpt-5', 'gpt-4o-mini', 'text-embedding-3-small']
const ANTHROPIC_MODELS = ['claude-sonnet-4-6', 'claude-haiku-4-5']
const CREATED_SECONDS = 1_760_000_000

/** `GET …/models`: any model is answered, these are listed. */
export function listModels(anthropic: boolean): JsonReply {
  if (!anthropic) return jsonReply({ object: 'list', data: OPENAI_MODELS.map(openaiModel) })
  const data = ANTHROPIC_MODELS.map(anthropicModel)
  return jsonReply({ data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null })
}

/** `GET …/models/:id`. Throws ProviderError for one that is not listed. */
export function getModel(id: string, anthropic: boolean): JsonReply {
  const listed = anthropic ? ANTHROPIC_MODELS : OPENAI_MODELS
  if (!listed.includes(id)) throw new ProviderError(404, `The model '${id}' does not exist`, 'model_not_found', 'model')
  return jsonReply(anthropic ? anthropicModel(id) : openaiModel(id))
}

function openaiModel(id: string) {
  return { id, object: 'model', created: CREATED_SECONDS, owned_by: 'simulator' }
}

function anthropicModel(id: string) {
  return { type: 'model', id, display_name: id, created_at: new Date(CREATED_SECONDS * 1000).toISOString() }
}
