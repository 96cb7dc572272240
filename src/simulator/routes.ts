import { countTokens, messages } from './anthropic-messages.ts'
import { bedrockRoute } from './bedrock-routes.ts'
import type { Call, JsonObject, Reply } from './call.ts'
import { cohereRoute } from './cohere-routes.ts'
import type { Dialect } from './dialect.ts'
import { googleRoute } from './google-routes.ts'
import { objectRoute } from './object-routes.ts'
import { ollamaRoute } from './ollama-routes.ts'
import { createAssistant, createMessage, createThread, deleteThread, listMessages } from './openai-assistants.ts'
import { chat } from './openai-chat.ts'
import { completions } from './openai-completions.ts'
import { embeddings } from './openai-embeddings.ts'
import { images } from './openai-images.ts'
import { getModel, listModels } from './openai-models.ts'
import { moderations } from './openai-moderations.ts'
import { cancelResponse, deleteResponse, getResponse, listInputItems, responses } from './openai-responses.ts'
import { cancelRun, createRun, createThreadAndRun, getRun, submitToolOutputs } from './openai-runs.ts'
import { speech } from './openai-speech.ts'
import { transcriptions } from './openai-transcriptions.ts'

export interface Route {
  readonly format: Dialect
  /** Needs a model. */
  readonly generates: boolean
  /** Model that the path names; left out: the body does. */
  readonly model?: string
  /** Where neither names one. */
  readonly defaultModel?: string
  /** Where the last user text stands; left out: in `messages`, `input` or `prompt`. */
  prompt?(body: JsonObject): string
  answer(call: Call): Reply
}

const POST: readonly (readonly [string, Route])[] = [
  ['/chat/completions', { format: 'openai', generates: true, answer: chat }],
  ['/completions', { format: 'openai', generates: true, answer: completions }],
  ['/embeddings', { format: 'openai', generates: true, answer: embeddings }],
  ['/images/generations', { format: 'openai', generates: true, answer: images }],
  ['/images/edits', { format: 'openai', generates: true, answer: images }],
  ['/images/variations', { format: 'openai', generates: true, answer: images }],
  ['/audio/speech', { format: 'openai', generates: true, answer: speech }],
  ['/audio/transcriptions', { format: 'openai', generates: true, answer: transcriptions }],
  ['/audio/translations', { format: 'openai', generates: true, answer: transcriptions }],
  ['/moderations', { format: 'openai', generates: false, answer: moderations }],
  ['/responses', { format: 'openai', generates: true, answer: responses }],
  ['/messages', { format: 'anthropic', generates: true, answer: messages }],
  ['/messages/count_tokens', { format: 'anthropic', generates: true, answer: countTokens }],
]

/** The endpoint that a path names by its last segments, whatever prefix stands before them. */
export function findRoute(method: string, path: string, dialect: Dialect): Route | undefined {
  const bedrock = bedrockRoute(method, path)
  if (bedrock !== undefined) return bedrock
  const google = googleRoute(method, path, dialect === 'google')
  if (google !== undefined) return google
  const object = objectRoute(method, path)
  if (object !== undefined) return object
  const own = cohereRoute(method, path) ?? ollamaRoute(method, path)
  if (own !== undefined) return own
  const found = method === 'POST' ? POST.find(([ending]) => path.endsWith(ending))?.[1] : undefined
  if (found !== undefined) return withDeployment(found, path)
  return otherRoute(method, path, dialect === 'anthropic')
}

/** Azure takes the model from the path, whatever the body says. */
function withDeployment(route: Route, path: string): Route {
  const deployment = /\/deployments\/([^/]+)\//.exec(path)?.[1]
  return deployment === undefined ? route : { ...route, model: decodeURIComponent(deployment) }
}

function otherRoute(method: string, path: string, anthropic: boolean): Route | undefined {
  const format = anthropic ? 'anthropic' : 'openai'
  const free = (answer: Route['answer']): Route => ({ format, generates: false, answer })
  const assistants = assistantRoute(method, path)
  if (assistants !== undefined) return free(assistants)
  const response = /\/responses\/([^/]+)(\/input_items|\/cancel)?$/.exec(path)
  if (response !== null) return responseRoute(method, response[1] as string, response[2], free)
  if (method !== 'GET') return undefined
  if (path.endsWith('/models')) return free(() => listModels(anthropic))
  const model = /\/models\/([^/]+)$/.exec(path)
  return model === null ? undefined : free(() => getModel(decodeURIComponent(model[1] as string), anthropic))
}

function responseRoute(
  method: string,
  id: string,
  part: string | undefined,
  free: (answer: Route['answer']) => Route,
): Route | undefined {
  if (method === 'POST') return part === '/cancel' ? free((call) => cancelResponse(call, id)) : undefined
  if (method === 'GET' && part === undefined) return free((call) => getResponse(call, id))
  if (method === 'GET' && part === '/input_items') return free((call) => listInputItems(call, id))
  if (method === 'DELETE' && part === undefined) return free((call) => deleteResponse(call, id))
  return undefined
}

const THREAD = /\/threads\/([^/]+)\/messages$/
const RUN = /\/threads\/([^/]+)\/runs(?:\/([^/]+)(\/submit_tool_outputs|\/cancel)?)?$/

function assistantRoute(method: string, path: string): Route['answer'] | undefined {
  const thread = THREAD.exec(path)?.[1]
  if (thread !== undefined)
    return (call) => (method === 'POST' ? createMessage(call, thread) : listMessages(call, thread))
  const [run, of, id, part] = RUN.exec(path) ?? []
  if (run !== undefined) return runRoute(method, of as string, id, part)
  const deleted = method === 'DELETE' ? /\/threads\/([^/]+)$/.exec(path)?.[1] : undefined
  if (deleted !== undefined) return (call) => deleteThread(call, deleted)
  if (method !== 'POST') return undefined
  if (path.endsWith('/threads/runs')) return createThreadAndRun
  if (path.endsWith('/threads')) return createThread
  return path.endsWith('/assistants') ? createAssistant : undefined
}

function runRoute(
  method: string,
  thread: string,
  id: string | undefined,
  part: string | undefined,
): Route['answer'] | undefined {
  if (method === 'POST' && id === undefined) return (call) => createRun(call, thread)
  if (id === undefined) return undefined
  if (method === 'GET' && part === undefined) return (call) => getRun(call, id)
  if (method !== 'POST' || part === undefined) return undefined
  return part === '/cancel' ? (call) => cancelRun(call, id) : (call) => submitToolOutputs(call, id)
}
