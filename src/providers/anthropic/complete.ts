/**
 * POST …/complete: Anthropic's retired text completions, which old deployments still serve. It states no usage at all, so
 * that every charge is an estimate from the text.
 * Source: docs.anthropic.com, "Create a Text Completion"; recorded traffic.
 */
import { InputCounter } from '../input-counter.ts'
import { readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { likelyInput } from '../likely-input.ts'
import { highestLimit, limitEdits, type NamedLimit, readLimits } from '../output-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asText, readFlag, readModel } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { CompleteStream } from './complete-stream.ts'

const LIMIT_NAME = 'max_tokens_to_sample'
const DECISIVE = new Set(['model', 'prompt', 'stream', LIMIT_NAME])
const HEAD_TOKENS = 16
const BYTES_PER_TOKEN = 4

interface CompleteParsed {
  readonly insertAt: number
  readonly limits: readonly NamedLimit[]
}

export const completeMetering: Metering = {
  readCall,
  prepare: (raw, call, { outputLimit }) => {
    if (outputLimit === undefined) return raw
    const { limits, insertAt } = call.parsed as CompleteParsed
    return splice(raw, limitEdits(limits, insertAt, LIMIT_NAME, outputLimit))
  },
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (call): StreamReader => new CompleteStream(call),
  jsonMembers: ['id', 'model', 'completion'],
  readJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readJsonBody(raw, source.jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  const fields = body.value
  const limits = readLimits(body, [LIMIT_NAME], 1)
  const counter = new InputCounter({ image: () => 0 })
  counter.addOverhead(HEAD_TOKENS)
  counter.addContent(fields['prompt'])
  const parsed: CompleteParsed = { insertAt: body.insertAt, limits }
  return {
    ...PLAIN_CALL,
    model: readModel(fields),
    stream: readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    parsed,
  }
}

function readJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const text = asText(members['completion']) ?? ''
  const output = Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN)
  return {
    usage: undefined,
    counted: { tokens: { input: likelyInput(call.input), output }, raw: null },
    model: asText(members['model']),
    providerId: asText(members['id']),
    serviceTier: undefined,
    storedId: undefined,
  }
}
