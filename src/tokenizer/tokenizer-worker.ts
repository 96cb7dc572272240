/** The thread that counts texts with a model's own tokenizer, so that no other call waits for it. */
import { parentPort } from 'node:worker_threads'
import type { Encoding } from '../core/encoding.ts'
import { splitText } from './split-text.ts'

export interface CountRequest {
  readonly id: number
  readonly encoding: Encoding
  readonly texts: readonly string[]
}

export interface CountReply {
  readonly id: number
  /** undefined: it could not be counted. */
  readonly tokens: number | undefined
}

interface Tokenizer {
  countTokens(text: string, options: { readonly disallowedSpecial: Set<string> }): number
}

/** What looks like a special token in a prompt is text to the API. */
const PLAIN = { disallowedSpecial: new Set<string>() }

const loading = new Map<Encoding, Promise<Tokenizer>>()

function load(encoding: Encoding): Promise<Tokenizer> {
  const known = loading.get(encoding)
  if (known !== undefined) return known
  const tokenizer: Promise<Tokenizer> =
    encoding === 'o200k_base'
      ? import('gpt-tokenizer/encoding/o200k_base')
      : import('gpt-tokenizer/encoding/cl100k_base')
  loading.set(encoding, tokenizer)
  return tokenizer
}

async function count({ encoding, texts }: CountRequest): Promise<number> {
  const { countTokens } = await load(encoding)
  let tokens = 0
  for (const text of texts) for (const piece of splitText(text)) tokens += countTokens(piece, PLAIN)
  return tokens
}

parentPort?.on('message', (request: CountRequest) => {
  count(request).then(
    (tokens) => parentPort?.postMessage({ id: request.id, tokens } satisfies CountReply),
    () => parentPort?.postMessage({ id: request.id, tokens: undefined } satisfies CountReply),
  )
})
