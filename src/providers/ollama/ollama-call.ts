/**
 * What the Ollama endpoints have in common: decisive fields, the limit inside `options`, pictures, what is asked for.
 * Source: github.com/ollama/ollama, docs/api.md and api/types.go.
 */
import { InputCounter } from '../input-counter.ts'
import { type JsonBody, readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { type NestedLimit, nestedLimitEdits, readNestedLimit } from '../nested-limit.ts'
import type { CallRequest, CallSource, Metering } from '../provider.ts'
import { asArray, asObject, readFlag, readModel } from '../read-fields.ts'
import { splice } from '../splice.ts'

type Fields = Readonly<Record<string, unknown>>

export const LIMIT_NAME = 'num_predict'

const DECISIVE = new Set([
  'model',
  'stream',
  'options',
  'messages',
  'prompt',
  'input',
  'images',
  'think',
  'format',
  'tools',
])
/**
 * The largest pictures of the models that are served: Qwen3-VL takes up to 16,384 patches, others 256 to 6,404.
 * Source: huggingface.co, Qwen3-VL preprocessor_config.json (longest_edge 16,777,216 pixels, patches of 32 × 32).
 */
const IMAGE_TOKENS = 16_384

export function readOllamaBody(raw: Buffer, source: CallSource): JsonBody {
  const body = readJsonBody(raw, source.jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  return body
}

/** Left out it means true. */
function streams(fields: Fields): boolean {
  return readFlag(fields, 'stream') !== false
}

/**
 * `options.num_predict`; its edits are `CallRequest.parsed`. Zero and below set no limit (-1: none, -2: as far as the
 * context goes).
 */
export function readLimit(
  raw: Buffer,
  body: JsonBody,
  jsonDepth: number,
): Pick<CallRequest, 'outputLimit'> & { readonly parsed: NestedLimit } {
  const place = { outer: 'options', name: LIMIT_NAME, negative: 'unlimited' } as const
  const parsed = readNestedLimit(raw, body, place, jsonDepth)
  return { outputLimit: parsed.tokens, parsed }
}

export const prepareOllama: Metering['prepare'] = (raw, call, { outputLimit }) =>
  outputLimit === undefined ? raw : splice(raw, nestedLimitEdits(call.parsed as NestedLimit, outputLimit))

/** Members of a call that generates. */
export function readGenerating(fields: Fields): Pick<CallRequest, 'model' | 'stream' | 'reasoning' | 'structured'> {
  return {
    model: readModel(fields),
    stream: streams(fields),
    reasoning: fields['think'] === true || (typeof fields['think'] === 'string' && fields['think'] !== ''),
    structured: asObject(fields['format']) !== undefined,
  }
}

export function ollamaCounter(): InputCounter {
  return new InputCounter({ image: () => IMAGE_TOKENS })
}

/** Pictures stand in base64 beside the text, which never counts as text. */
export function addImages(counter: InputCounter, images: unknown): void {
  for (const image of asArray(images)) counter.addImage(typeof image === 'string' ? image : '')
}
