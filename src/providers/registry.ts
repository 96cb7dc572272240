/**
 * Every provider that the gateway speaks, by format. A new one is a folder and a line here. Where formats share a path,
 * the one named first gives the words of a refusal before an upstream is chosen.
 */
import type { Format } from '../config/snapshot.ts'
import { anthropicProvider } from './anthropic/anthropic-provider.ts'
import { bedrockProvider } from './bedrock/bedrock-provider.ts'
import { cohereProvider } from './cohere/cohere-provider.ts'
import { geminiProvider } from './gemini/gemini-provider.ts'
import { ollamaProvider } from './ollama/ollama-provider.ts'
import { openAIProvider } from './openai/openai-provider.ts'
import type { JobReader, Provider } from './provider.ts'
import { vertexProvider } from './vertex/vertex-provider.ts'

export const providers: ReadonlyMap<Format, Provider> = new Map<Format, Provider>([
  ['cohere', cohereProvider],
  ['ollama', ollamaProvider],
  ['openai', openAIProvider],
  ['anthropic', anthropicProvider],
  ['gemini', geminiProvider],
  ['vertex', vertexProvider],
  ['bedrock', bedrockProvider],
])

/** Undefined: no such reader (a job that a newer version has begun). */
export function jobReader(format: Format, name: string): JobReader | undefined {
  return providers.get(format)?.jobs?.find((reader) => reader.name === name)
}
