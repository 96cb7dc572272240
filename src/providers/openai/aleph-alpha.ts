/**
 * Aleph Alpha: POST /complete. Prompts are texts or lists of items (text, images, token numbers); the answer counts its
 * tokens at the top level. A stream says a piece of one completion in each event, then why each ended, then the counts.
 * Source: docs.aleph-alpha.com/api/complete; aleph-alpha-client aleph_alpha_client/completion.py; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { type ErrorFacts, tollgateMember } from '../../errors.ts'
import { readCount } from '../counts.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { failedAnswer } from '../failed-answer.ts'
import { InputCounter } from '../input-counter.ts'
import { JsonCursor } from '../json-cursor.ts'
import { highestLimit, limitEdits, type NamedLimit, readLimits } from '../output-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText, readFlag, readModel, readWholeNumber } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { dataEvent } from '../sse-event.ts'
import { readOpenAIBody } from './openai-call.ts'
import { type Fields, TextStream } from './text-stream.ts'

const LIMIT_NAME = 'maximum_tokens'
const COUNTS = ['num_tokens_prompt_total', 'num_tokens_generated'] as const
/** Of one image: 144 positions of the multimodal Luminous models. */
const IMAGE_TOKENS = 144
const PROMPT_TOKENS = 8

interface AlephAlphaParsed {
  readonly insertAt: number
  readonly limits: readonly NamedLimit[]
}

export const alephAlphaMetering: Metering = {
  readCall,
  prepare: (raw, call, { outputLimit }) => {
    if (outputLimit === undefined) return raw
    const { limits, insertAt } = call.parsed as AlephAlphaParsed
    return splice(raw, limitEdits(limits, insertAt, LIMIT_NAME, outputLimit))
  },
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (call): StreamReader => new AlephAlphaStream(call),
  jsonMembers: [...COUNTS, 'error'],
  readJson: (members) => ({
    usage: readUsage(members),
    model: undefined,
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
    ...failedAnswer(members['error']),
  }),
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const limits = readLimits(body, [LIMIT_NAME], 1)
  const counter = new InputCounter({ image: () => IMAGE_TOKENS })
  counter.addOverhead(PROMPT_TOKENS)
  for (const item of Array.isArray(fields['prompt']) ? fields['prompt'] : [fields['prompt']]) addItem(counter, item)
  const parsed: AlephAlphaParsed = { insertAt: body.insertAt, limits }
  return {
    ...PLAIN_CALL,
    model: readModel(fields),
    stream: readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: Math.max(readWholeNumber(fields, 'n', 1) ?? 1, readWholeNumber(fields, 'best_of', 1) ?? 1),
    parsed,
  }
}

/** `{type, data}`: an image’s data is base64, token numbers are what they are. */
function addItem(counter: InputCounter, item: unknown): void {
  const part = asObject(item)
  if (part?.['type'] === 'image') counter.addOverhead(IMAGE_TOKENS)
  else if (part?.['type'] === 'token_ids') counter.addExact(asArray(part['data']).length)
  else counter.addContent(part ? part['data'] : item)
}

function readUsage(fields: Fields): Usage | undefined {
  const [input, output] = COUNTS.map((name) => readCount(fields, name))
  if (input === undefined && output === undefined) return undefined
  return {
    tokens: { ...(input === undefined ? {} : { input }), ...(output === undefined ? {} : { output }) },
    raw: Object.fromEntries(COUNTS.map((name) => [name, fields[name]])),
  }
}

const TYPE = Buffer.from('type')
const COMPLETION = Buffer.from('completion')
const CHUNK = Buffer.from('stream_chunk')
/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

class AlephAlphaStream extends TextStream {
  protected override scan(data: Buffer): number {
    cursor.open(data)
    counter.reset()
    this.mustParse = true
    while (cursor.next()) {
      if (cursor.depth !== 1 || !cursor.isString) continue
      if (cursor.keyIs(TYPE)) this.mustParse = !cursor.stringBytes.equals(CHUNK)
      else if (cursor.keyIs(COMPLETION)) counter.addText(data, cursor.valueStart, cursor.valueEnd)
    }
    return counter.tokens
  }

  protected override read(event: Fields): void {
    if (asText(event['error']) || asObject(event['error'])) this.failed = true
    if (event['type'] === 'stream_summary') this.finished = true
    this.usage = readUsage(event) ?? this.usage
  }

  override cutEnding(): Buffer {
    const counts = { num_tokens_prompt_total: this.call.input.highTokens, num_tokens_generated: this.outputTokens }
    return Buffer.from(
      dataEvent({ type: 'stream_summary', index: 0, model_version: '', finish_reason: 'maximum_tokens' }) +
        dataEvent({ type: 'completion_summary', ...counts }),
    )
  }

  override errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(dataEvent({ error: error.message, code: error.code, tollgate: tollgateMember(error) }))
  }
}
