import type { JsonObject } from './call.ts'
import type { ProviderError } from './provider-errors.ts'

const PATHS = /\/(v1|v2)\/(chat|embed|rerank|generate|classify|tokenize|detokenize)$/

export function isCoherePath(path: string): boolean {
  return PATHS.test(path)
}

/** `{"id","message"}` */
export function cohereErrorBody(error: ProviderError, requestId: string): string {
  return JSON.stringify({ id: requestId, message: error.message })
}

/** What Cohere's own preamble adds to the prompt: counted under `tokens`, never billed. */
const PREAMBLE_TOKENS = 201

/** `billed_units` and `tokens` as v2's `usage` and v1's `meta` have them. */
export function billedUnits(input: number, output: number, reasoning: number): JsonObject {
  const tokens = { input_tokens: input + PREAMBLE_TOKENS, output_tokens: output }
  return {
    billed_units: { input_tokens: input, output_tokens: output },
    tokens: reasoning > 0 ? { ...tokens, reasoning_tokens: reasoning } : tokens,
    cached_tokens: 192,
  }
}

export const FINISH = { stop: 'COMPLETE', length: 'MAX_TOKENS', tools: 'TOOL_CALL' } as const
