import { ollamaChat, ollamaEmbed, ollamaModels, ollamaPrompt } from './ollama-chat.ts'
import type { ProviderError } from './provider-errors.ts'
import type { Route } from './routes.ts'

const OPERATIONS: Readonly<Record<string, Omit<Route, 'format'>>> = {
  'POST api/chat': { generates: true, prompt: ollamaPrompt, answer: ollamaChat },
  'POST api/generate': { generates: true, prompt: ollamaPrompt, answer: ollamaChat },
  'POST api/embed': { generates: true, prompt: ollamaPrompt, answer: ollamaEmbed },
  'POST api/embeddings': { generates: true, prompt: ollamaPrompt, answer: ollamaEmbed },
  'POST api/show': { generates: false, answer: ollamaModels },
  'GET api/tags': { generates: false, answer: ollamaModels },
  'GET api/ps': { generates: false, answer: ollamaModels },
  'GET api/version': { generates: false, answer: ollamaModels },
}

/** Undefined: not one of Ollama's paths that are simulated. */
export function ollamaRoute(method: string, path: string): Route | undefined {
  const name = `${method} ${path.split('/').slice(-2).join('/')}`
  const found = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined
  return found && { ...found, format: 'ollama' }
}

export function isOllamaPath(path: string): boolean {
  return /\/api\/(chat|generate|embed|embeddings|tags|show|ps|version|pull)$/.test(path)
}

/** `{"error":"text"}` */
export function ollamaErrorBody(error: ProviderError): string {
  return JSON.stringify({ error: error.message })
}
