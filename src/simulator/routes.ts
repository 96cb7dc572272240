import { countTokens, messages } from './anthropic-messages.ts'
import type { Call, Reply } from './call.ts'
import { chat } from './openai-chat.ts'
import { completions } from './openai-completions.ts'
import { embeddings } from './openai-embeddings.ts'
import { getModel, listModels } from './openai-models.ts'
import { deleteResponse, getResponse, listInputItems, responses } from './openai-responses.ts'

export interface Route {
  readonly format: 'openai' | 'anthropic'
  /** Needs `model` in its body. */
  readonly generates: boolean
  answer(call: Call): Reply
}

const POST: readonly (readonly [string, Route])[] = [
  ['/chat/completions', { format: 'openai', generates: true, answer: chat }],
  ['/completions', { format: 'openai', generates: true, answer: completions }],
  ['/embeddings', { format: 'openai', generates: true, answer: embeddings }],
  ['/responses', { format: 'openai', generates: true, answer: responses }],
  ['/messages', { format: 'anthropic', generates: true, answer: messages }],
  ['/messages/count_tokens', { format: 'anthropic', generates: true, answer: countTokens }],
]

/** The endpoint that a path names by its last segments, whatever prefix stands before them. */
export function findRoute(method: string, path: string, anthropic: boolean): Route | undefined {
  if (method === 'POST') return POST.find(([ending]) => path.endsWith(ending))?.[1]
  return objectRoute(method, path, anthropic)
}

function objectRoute(method: string, path: string, anthropic: boolean): Route | undefined {
  const format = anthropic ? 'anthropic' : 'openai'
  const free = (answer: Route['answer']): Route => ({ format, generates: false, answer })
  const response = /\/responses\/([^/]+)(\/input_items)?$/.exec(path)
  if (response !== null) return responseRoute(method, response[1] as string, response[2] !== undefined, free)
  if (method !== 'GET') return undefined
  if (path.endsWith('/models')) return free(() => listModels(anthropic))
  const model = /\/models\/([^/]+)$/.exec(path)
  return model === null ? undefined : free(() => getModel(decodeURIComponent(model[1] as string), anthropic))
}

function responseRoute(
  method: string,
  id: string,
  items: boolean,
  free: (answer: Route['answer']) => Route,
): Route | undefined {
  if (method === 'GET') return free((call) => (items ? listInputItems(call, id) : getResponse(call, id)))
  if (method === 'DELETE' && !items) return free((call) => deleteResponse(call, id))
  return undefined
}
