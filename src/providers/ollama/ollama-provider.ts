/**
 * The Ollama API: paths, refusals. Its OpenAI-compatible API (`/v1/…`) is an upstream of format openai.
 *
 * What lists models or says what one is (`tags`, `ps`, `show`, `version`) is free; what changes the models that all
 * callers share (`pull`, `push`, `create`, `copy`, `delete`, `blobs`) passes only where `unmetered_paths` names it.
 * Source: github.com/ollama/ollama, docs/api.md.
 */
import type { Endpoint } from '../../config/snapshot.ts'
import { pathSegments } from '../path-segments.ts'
import type { Metering, Operation, Provider } from '../provider.ts'
import { chatMetering } from './chat.ts'
import { embedMetering } from './embed.ts'
import { generateMetering } from './generate.ts'
import { ollamaErrorBody } from './ollama-error.ts'

const embed = metered('embeddings', embedMetering)
const models: Operation = { format: 'ollama', endpoint: 'models', kind: 'free' }

/** By method and the last two segments. */
const OPERATIONS = new Map<string, Operation>([
  ['POST api/chat', metered('chat', chatMetering)],
  ['POST api/generate', metered('generate', generateMetering)],
  ['POST api/embed', embed],
  ['POST api/embeddings', embed],
  ['POST api/show', models],
  ['GET api/tags', models],
  ['GET api/ps', models],
  ['GET api/version', models],
])

export const ollamaProvider: Provider = {
  format: 'ollama',
  match: (method, path) => {
    const operation = OPERATIONS.get(`${method} ${pathSegments(path).slice(-2).join('/')}`)
    return operation && { operation, objectId: undefined }
  },
  errorBody: ollamaErrorBody,
}

function metered(endpoint: Endpoint, metering: Metering): Operation {
  return { format: 'ollama', endpoint, kind: 'metered', metering }
}
