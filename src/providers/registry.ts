/** Every provider that the gateway speaks, by format. A new one is a folder and a line here. */
import type { Format } from '../config/snapshot.ts'
import { anthropicProvider } from './anthropic/anthropic-provider.ts'
import { openAIProvider } from './openai/openai-provider.ts'
import type { Provider } from './provider.ts'

export const providers: ReadonlyMap<Format, Provider> = new Map<Format, Provider>([
  ['openai', openAIProvider],
  ['anthropic', anthropicProvider],
])
