// What providers charge for one small image; a figure of the right size is all that is needed here.
const MEDIA_TOKENS = 85
const NO_TEXT = new Set(['type', 'role', 'id', 'cache_control', 'detail', 'media_type'])
const MEDIA = new Set(['image_url', 'source', 'input_audio', 'file_data', 'file'])

/**
 * Input tokens of messages, tools or a prompt: four characters are a token, each message adds four, each image or
 * file 85. No real tokenizer, but exact in its own terms: the same call always counts the same.
 */
export function countInput(value: unknown): number {
  if (typeof value === 'string') return Math.ceil(value.length / 4)
  if (Array.isArray(value)) return countArray(value)
  if (typeof value !== 'object' || value === null) return typeof value === 'number' ? 1 : 0
  let tokens = 'role' in value ? 4 : 0
  for (const [key, member] of Object.entries(value)) {
    if (NO_TEXT.has(key)) continue
    tokens += MEDIA.has(key) ? MEDIA_TOKENS : countInput(member)
  }
  return tokens
}

function countArray(values: readonly unknown[]): number {
  let tokens = 0
  for (const value of values) tokens += countInput(value)
  return tokens
}
