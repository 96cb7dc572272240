/**
 * What the Ollama endpoints have in common: decisive fields, the limit inside `options`, pictures, what is asked for.
 * Source: github.com/ollama/ollama, docs/api.md and api/types.go.
 */
import { InputCounter } from '../input-counter.ts'
import { type JsonBody, type MemberSpan, readJsonBody, readMembers, refuseOtherSpellings } from '../json-body.ts'
import { type CallRequest, type CallSource, InvalidCall, type Metering } from '../provider.ts'
import { asArray, asObject, readFlag, readModel, readWholeNumber } from '../read-fields.ts'
import { type Edit, splice } from '../splice.ts'

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

/** `CallRequest.parsed` of this format. */
export interface OllamaParsed {
  readonly insertAt: number
  /** Of the value of `options`; undefined where it has none. */
  readonly options: { readonly span: MemberSpan; readonly isObject: boolean; readonly isEmpty: boolean } | undefined
  /** Of `num_predict` inside it. */
  readonly limit: MemberSpan | undefined
}

export function readOllamaBody(raw: Buffer, source: CallSource): JsonBody {
  const body = readJsonBody(raw, source.jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  return body
}

/** Left out it means true. */
export function streams(fields: Fields): boolean {
  return readFlag(fields, 'stream') !== false
}

/** What `options.num_predict` and its place are. Zero and below set no limit (-1: none, -2: as far as the context goes). */
export function readLimit(
  raw: Buffer,
  body: JsonBody,
  jsonDepth: number,
): Pick<CallRequest, 'outputLimit'> & { readonly parsed: OllamaParsed } {
  const span = body.members.get('options')
  const value = body.value['options']
  if (!span)
    return { outputLimit: undefined, parsed: { insertAt: body.insertAt, options: undefined, limit: undefined } }
  if (value !== null && !asObject(value)) throw new InvalidCall('"options" must be an object or null.', 'options')
  const options = asObject(value)
  const inner = options ? readMembers(raw, span.valueStart, jsonDepth, 'options.') : undefined
  const limit = options && readSignedNumber(options, LIMIT_NAME)
  return {
    outputLimit: limit !== undefined && limit > 0 ? limit : undefined,
    parsed: {
      insertAt: body.insertAt,
      options: { span, isObject: options !== undefined, isEmpty: inner?.size === 0 },
      limit: inner?.get(LIMIT_NAME),
    },
  }
}

export const prepareOllama: Metering['prepare'] = (raw, call, { outputLimit }) => {
  if (outputLimit === undefined || (call.outputLimit !== undefined && call.outputLimit <= outputLimit)) return raw
  return splice(raw, [limitEdit(call.parsed as OllamaParsed, outputLimit)])
}

function limitEdit({ insertAt, options, limit }: OllamaParsed, tokens: number): Edit {
  if (limit) return { from: limit.valueStart, to: limit.valueEnd, text: String(tokens) }
  const member = `"${LIMIT_NAME}":${tokens}`
  if (!options) return { from: insertAt, to: insertAt, text: `"options":{${member}},` }
  const { span, isObject, isEmpty } = options
  if (!isObject) return { from: span.valueStart, to: span.valueEnd, text: `{${member}}` }
  return { from: span.valueStart + 1, to: span.valueStart + 1, text: isEmpty ? member : `${member},` }
}

/** A number below zero is a word of its own here. */
function readSignedNumber(fields: Fields, name: string): number | undefined {
  const value = fields[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value < 0
    ? value
    : readWholeNumber(fields, name, 0)
}

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
  counter.addOverhead(IMAGE_TOKENS * asArray(images).length)
}
