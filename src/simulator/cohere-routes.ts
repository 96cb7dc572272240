import { contentText, type JsonObject, lastMessage } from './call.ts'
import { chatV2 } from './cohere-chat.ts'
import { embed, rerank, tokenize } from './cohere-embeddings.ts'
import { chatV1, generate } from './cohere-v1.ts'
import type { Route } from './routes.ts'

type Method = Omit<Route, 'format'>

const METHODS: Readonly<Record<string, Method>> = {
  'v2/chat': {
    generates: true,
    prompt: (body) => contentText(lastMessage(body['messages'])?.['content']),
    answer: chatV2,
  },
  'v1/chat': { generates: true, defaultModel: 'command-r', prompt: textUnder('message'), answer: chatV1 },
  'v1/generate': { generates: true, defaultModel: 'command', prompt: textUnder('prompt'), answer: generate },
  'v1/embed': { generates: true, defaultModel: 'embed-english-v3.0', prompt: firstText, answer: embed },
  'v2/embed': { generates: true, prompt: firstText, answer: embed },
  'v1/rerank': { generates: true, defaultModel: 'rerank-english-v3.0', prompt: textUnder('query'), answer: rerank },
  'v2/rerank': { generates: true, prompt: textUnder('query'), answer: rerank },
  'v1/tokenize': { generates: false, answer: tokenize },
  'v1/detokenize': { generates: false, answer: tokenize },
}

/** Undefined: not one of Cohere's paths that are simulated. */
export function cohereRoute(method: string, path: string): Route | undefined {
  if (method !== 'POST') return undefined
  const name = path.split('/').slice(-2).join('/')
  const found = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
  return found && { ...found, format: 'cohere' }
}

function textUnder(name: string): (body: JsonObject) => string {
  return (body) => (typeof body[name] === 'string' ? body[name] : '')
}

function firstText(body: JsonObject): string {
  const texts = body['texts']
  return Array.isArray(texts) && typeof texts[0] === 'string' ? texts[0] : ''
}
