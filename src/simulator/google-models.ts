import { type JsonObject, type JsonReply, jsonReply } from './call.ts'
import { ProviderError } from './provider-errors.ts'

const MODELS: Readonly<Record<string, readonly string[]>> = {
  'gemini-2.5-flash': ['generateContent', 'countTokens'],
  'gemini-3-flash-preview': ['generateContent', 'countTokens'],
  'gemini-embedding-001': ['embedContent'],
}

/** `GET …/models`: any model is answered, these are listed. */
export function listModels(): JsonReply {
  return jsonReply({ models: Object.keys(MODELS).map(model) })
}

/** `GET …/models/:name`. Throws ProviderError for one that is not listed. */
export function getModel(name: string): JsonReply {
  if (Object.hasOwn(MODELS, name)) return jsonReply(model(name))
  throw new ProviderError(404, `models/${name} is not found for API version v1beta.`)
}

function model(name: string): JsonObject {
  return {
    name: `models/${name}`,
    version: '001',
    displayName: name,
    inputTokenLimit: 1_048_576,
    outputTokenLimit: 65_536,
    supportedGenerationMethods: MODELS[name],
  }
}
