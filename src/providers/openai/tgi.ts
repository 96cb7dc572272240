/**
 * Text generation as Hugging Face's servers have it: POST …/generate, …/generate_stream, and POST to a model's root
 * (…/models/OWNER/NAME, a dedicated endpoint's /, SageMaker's /endpoints/NAME/invocations).
 *
 * Most answers state no usage. `details` counts the generated tokens, and the prompt's where it says how many there were;
 * dedicated endpoints say both in headers. The servers bill by the hour, so that such a count is no bill: where the body
 * does not state both, what is known is charged as an estimate.
 * Sources: huggingface.co/docs/text-generation-inference, API reference; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { readCount } from '../counts.ts'
import { failedAnswer } from '../failed-answer.ts'
import { InputCounter } from '../input-counter.ts'
import { likelyInput } from '../likely-input.ts'
import { type NestedLimit, nestedLimitEdits, readNestedLimit } from '../nested-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import {
  type AnswerFacts,
  type AnswerHeaders,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asObject, asText, readFlag, readWholeNumber } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { hostedModel } from './hosted-model.ts'
import { readOpenAIBody } from './openai-call.ts'
import { type Fields, TgiStream } from './tgi-stream.ts'

const LIMIT_NAME = 'max_new_tokens'
const PROMPT_TOKENS = 8
const IMAGE_TOKENS = 4096
/** Characters of a prompt by which an answer that repeats it is known. */
const ECHO_CHARACTERS = 64
const BYTES_PER_TOKEN = 4
/** Tasks of Hugging Face's pipelines that write text; the others sort, mark or embed what they read. */
const WRITING_TASKS = new Set(['text-generation', 'text2text-generation', 'summarization', 'translation'])

/** Where an answer’s text stands, by the task. */
const TEXTS = ['generated_text', 'summary_text', 'translation_text']

/** `CallRequest.parsed` of this dialect. */
export interface TgiParsed {
  readonly limit: NestedLimit
  /** The prompt's beginning and length in bytes. */
  readonly echo: string
  readonly promptBytes: number
}

export const tgiMetering: Metering = {
  readCall: readTgiCall,
  prepare: (raw, call, { outputLimit }) =>
    outputLimit === undefined ? raw : splice(raw, nestedLimitEdits((call.parsed as TgiParsed).limit, outputLimit)),
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (call): StreamReader => new TgiStream(call),
  jsonMembers: [...TEXTS, ...TEXTS.map((name) => `*.${name}`), 'details', '*.details', 'error'],
  readJson: readTgiJson,
}

/** Throws InvalidCall. */
export function readTgiCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const { inputs } = fields
  if (inputs === undefined || inputs === null)
    throw new InvalidCall('"inputs" is missing; put the prompt there.', 'inputs')
  const limit = readNestedLimit(
    raw,
    body,
    { outer: 'parameters', name: LIMIT_NAME, negative: 'refused' },
    source.jsonDepth,
  )
  const parameters = asObject(fields['parameters']) ?? {}
  const counter = new InputCounter({ image: () => IMAGE_TOKENS })
  if (typeof inputs === 'string') counter.addText(inputs)
  else counter.addContent(inputs)
  counter.addOverhead(PROMPT_TOKENS * Math.max(1, asArray(inputs).length))
  const prompt = typeof inputs === 'string' ? inputs : ''
  const parsed: TgiParsed = { limit, echo: prompt.slice(0, ECHO_CHARACTERS), promptBytes: Buffer.byteLength(prompt) }
  return {
    ...PLAIN_CALL,
    model: hostedModel(fields, source.path),
    stream: source.path.endsWith('/generate_stream') || readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: writes(source.path),
    outputLimit: limit.tokens,
    answers: answersOf(parameters, asArray(inputs).length),
    structured: asObject(parameters['grammar'])?.['type'] === 'json',
    parsed,
  }
}

function answersOf(parameters: Fields, inputs: number): number {
  const each = Math.max(
    readWholeNumber(parameters, 'best_of', 1) ?? 1,
    readWholeNumber(parameters, 'num_return_sequences', 1) ?? 1,
  )
  return each * Math.max(1, inputs)
}

function writes(path: string): boolean {
  const task = /\/pipeline\/([^/]+)/.exec(path)?.[1]
  return task === undefined || WRITING_TASKS.has(task)
}

function readTgiJson(members: Fields, call: CallRequest, headers: AnswerHeaders): AnswerFacts {
  const texts = TEXTS.flatMap((name) => listOf(members, name)).map((text) => asText(text) ?? '')
  const details = listOf(members, 'details').map(asObject)
  const generated = sumOf(details.map((one) => readCount(one, 'generated_tokens')))
  const prompt = sumOf(details.map(promptTokens))
  const stated = prompt !== undefined && generated !== undefined
  return {
    usage: stated
      ? { tokens: { input: prompt, output: generated }, raw: { generated_tokens: generated, prompt } }
      : undefined,
    counted: countedOf(call, {
      input: prompt ?? headerCount(headers, 'x-prompt-tokens'),
      output: generated ?? headerCount(headers, 'x-generated-tokens') ?? textTokens(texts, call.parsed as TgiParsed),
    }),
    model: undefined,
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
    ...failedAnswer(members['error']),
  }
}

/** Of a `details` object: `input_length`, or as many as `prefill` lists (empty where it was not asked for). */
function promptTokens(details: Fields | undefined): number | undefined {
  const prefill = asArray(details?.['prefill']).length
  return readCount(details, 'input_length') ?? (prefill > 0 ? prefill : undefined)
}

function countedOf(call: CallRequest, known: { readonly input: number | undefined; readonly output: number }): Usage {
  const input = known.input ?? likelyInput(call.input)
  return { tokens: call.generates ? { input, output: known.output } : { input }, raw: null }
}

function listOf(members: Fields, name: string): readonly unknown[] {
  const one = members[name]
  return one === undefined || one === null ? asArray(members[`*.${name}`]) : [one]
}

/** undefined where there are none, or one of them is missing. */
function sumOf(counts: readonly (number | undefined)[]): number | undefined {
  if (counts.length === 0) return undefined
  return counts.reduce<number | undefined>(
    (sum, count) => (sum === undefined || count === undefined ? undefined : sum + count),
    0,
  )
}

function headerCount(headers: AnswerHeaders, name: string): number | undefined {
  const text = headers.get(name)
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined
}

/** Unless it is told otherwise, the server puts the prompt before its answer. */
function textTokens(texts: readonly string[], { echo, promptBytes }: TgiParsed): number {
  let bytes = 0
  for (const text of texts) {
    const length = Buffer.byteLength(text)
    bytes += echo !== '' && text.startsWith(echo) && length >= promptBytes ? length - promptBytes : length
  }
  return Math.ceil(bytes / BYTES_PER_TOKEN)
}
