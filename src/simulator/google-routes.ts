import { countTokens as countMessages, messages } from './anthropic-messages.ts'
import type { Call, JsonReply } from './call.ts'
import {
  cancelGoogleBatch,
  createGoogleBatch,
  deleteGoogleBatch,
  downloadFile,
  getGoogleBatch,
} from './google-batches.ts'
import { countTokens, generateContent } from './google-content.ts'
import { embedContent, predict } from './google-embeddings.ts'
import { cancelInteraction, deleteInteraction, getInteraction, interactions } from './google-interactions.ts'
import { getModel, listModels } from './google-models.ts'
import { createCache, deleteObject, getObject, uploadFile } from './google-objects.ts'
import { lastContentText } from './google-words.ts'
import type { Route } from './routes.ts'

type Method = Omit<Route, 'model' | 'format'>

/** Methods of a model, by what stands behind its colon. */
const METHODS: Readonly<Record<string, Method>> = {
  generateContent: { generates: true, prompt: lastContentText, answer: generateContent },
  streamGenerateContent: { generates: true, prompt: lastContentText, answer: generateContent },
  countTokens: { generates: true, prompt: lastContentText, answer: countTokens },
  embedContent: { generates: true, prompt: lastContentText, answer: embedContent },
  batchEmbedContents: { generates: true, prompt: lastContentText, answer: embedContent },
  batchGenerateContent: { generates: true, answer: createGoogleBatch },
  asyncBatchEmbedContent: { generates: true, answer: createGoogleBatch },
  predict: { generates: true, prompt: lastContentText, answer: predict },
}

/** Undefined: not one of Google's paths that are simulated. `google`: the caller says that it speaks to Google. */
export function googleRoute(method: string, path: string, google: boolean): Route | undefined {
  const [, model = '', name = ''] = /\/(?:models|tunedModels|endpoints)\/([^/]+):([A-Za-z]+)$/.exec(decoded(path)) ?? []
  if (method === 'POST' && /^(stream)?raw/i.test(name)) return rawRoute(model)
  const found = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
  if (method === 'POST' && found !== undefined) return { ...found, format: 'google', model }
  if (method === 'POST' && /\/v1\w*\/(projects\/[^/]+\/locations\/[^/]+\/)?interactions$/.test(path))
    return { format: 'google', generates: true, answer: interactions }
  return (
    interactionRoute(method, path) ??
    batchRoute(method, path, google) ??
    objectRoute(method, path, google) ??
    (method === 'GET' ? modelRoute(path, google) : undefined)
  )
}

/** Files and caches: made, read, deleted. */
function objectRoute(method: string, path: string, google: boolean): Route | undefined {
  const [, version, collection = '', id] =
    /\/(v1(?:alpha|beta\d*)?)\/(?:projects\/[^/]+\/locations\/[^/]+\/)?(files|cachedContents)(?:\/([^/]+))?$/.exec(
      path,
    ) ?? []
  if (version === undefined || (version === 'v1' && !google)) return undefined
  const free = (answer: Route['answer']): Route => ({ format: 'google', generates: false, answer })
  if ((method === 'POST' || method === 'PUT') && id === undefined)
    return free(collection === 'files' ? uploadFile : createCache)
  if (method === 'GET' && id !== undefined) return free((call) => getObject(call, `${collection}/${id}`))
  return method === 'DELETE' && id !== undefined ? free((call) => deleteObject(call, `${collection}/${id}`)) : undefined
}

const BATCH_ACTS: Readonly<Record<string, (call: Call, name: string) => JsonReply>> = {
  'GET ': getGoogleBatch,
  'DELETE ': deleteGoogleBatch,
  'POST :cancel': cancelGoogleBatch,
}

function batchRoute(method: string, path: string, google: boolean): Route | undefined {
  const [, version, resource = ''] = /\/(v1(?:alpha|beta)?)\/([a-z]+\/[^/]+)$/.exec(path) ?? []
  if (version === undefined || (version === 'v1' && !google)) return undefined
  const free = (answer: Route['answer']): Route => ({ format: 'google', generates: false, answer })
  const file = /^(files\/[^/:]+):download$/.exec(resource)?.[1]
  if (file !== undefined) return method === 'GET' ? free((call) => downloadFile(call, file)) : undefined
  const [, name = '', act = ''] = /^(batches\/[^/:]+)(:cancel)?$/.exec(resource) ?? []
  const found = name === '' ? undefined : BATCH_ACTS[`${method} ${act}`]
  return found && free((call) => found(call, name))
}

function interactionRoute(method: string, path: string): Route | undefined {
  const [, id = '', cancel] = /\/interactions\/([^/]+)(\/cancel)?$/.exec(path) ?? []
  const act = cancel ? { POST: cancelInteraction }[method] : { GET: getInteraction, DELETE: deleteInteraction }[method]
  if (id === '' || act === undefined) return undefined
  return { format: 'google', generates: false, answer: (call) => act(call, id) }
}

/** Anthropic's messages under Vertex AI. */
function rawRoute(model: string): Route {
  if (model === 'count-tokens') return { format: 'anthropic', generates: false, answer: countMessages }
  return { format: 'anthropic', generates: true, model, answer: messages }
}

function modelRoute(path: string, google: boolean): Route | undefined {
  const found = /\/(v1(?:alpha|beta\d*)?|publishers\/google)\/models(?:\/([^/:]+))?$/.exec(decoded(path))
  if (found === null || (found[1] === 'v1' && !google)) return undefined
  const [, , name] = found
  return { format: 'google', generates: false, answer: () => (name === undefined ? listModels() : getModel(name)) }
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
