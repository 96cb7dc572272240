/** A prompt or an input as the completions and embeddings endpoints take it. */
import type { InputCounter } from '../input-counter.ts'

/**
 * Adds text, or token numbers exactly. Returns how many prompts there are; undefined where the value is none of: left
 * out, a string, an array of strings, of tokens, of token arrays, or of content objects.
 */
export function addPrompts(counter: InputCounter, value: unknown): number | undefined {
  if (value === undefined || value === null) return 0
  if (typeof value === 'string') {
    counter.addText(value)
    return 1
  }
  if (!Array.isArray(value)) return undefined
  if (isTokens(value)) {
    counter.addExact(value.length)
    return value.length > 0 ? 1 : 0
  }
  for (const item of value) {
    if (Array.isArray(item) && isTokens(item)) counter.addExact(item.length)
    else if (typeof item === 'string') counter.addText(item)
    else if (typeof item === 'object' && item !== null) counter.addContent(item)
    else return undefined
  }
  return value.length
}

function isTokens(value: readonly unknown[]): boolean {
  return value.every((item) => typeof item === 'number')
}
