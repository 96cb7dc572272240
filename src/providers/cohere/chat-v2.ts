/** POST /v2/chat. */
import { InputCounter } from '../input-counter.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText, readFlag, readModel } from '../read-fields.ts'
import { ChatV2Stream, FAILED } from './chat-v2-stream.ts'
import {
  asksForSchema,
  COHERE_MEDIA,
  type CohereParsed,
  prepareCohere,
  readCohereBody,
  readThinking,
} from './cohere-call.ts'
import { readCohereUsage } from './cohere-usage.ts'

type Fields = Readonly<Record<string, unknown>>

/** Cohere bills no template of its own: what stands in the body, and a few tokens a message. */
const HEAD_TOKENS = 16
const MESSAGE_TOKENS = 8

export const chatV2Metering: Metering = {
  readCall,
  prepare: prepareCohere,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call): StreamReader => new ChatV2Stream(call),
  jsonMembers: ['id', 'usage', 'finish_reason'],
  readJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readCohereBody(raw, source)
  const fields = body.value
  const limits = readLimits(body, ['max_tokens'], 0)
  const counter = new InputCounter(COHERE_MEDIA)
  addMessages(counter, fields['messages'])
  for (const name of ['documents', 'tools', 'response_format'])
    if (fields[name] !== undefined && fields[name] !== null) counter.addSchema(fields[name])
  const parsed: CohereParsed = { insertAt: body.insertAt, limits }
  return {
    ...PLAIN_CALL,
    model: readModel(fields),
    stream: readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    ...readThinking(fields),
    structured: asksForSchema(fields),
    tools: asArray(fields['tools']).length > 0,
    unseenInput: counter.unseen,
    parsed,
  }
}

function addMessages(counter: InputCounter, messages: unknown): void {
  counter.addOverhead(HEAD_TOKENS + MESSAGE_TOKENS * asArray(messages).length)
  for (const item of asArray(messages)) {
    const { content, ...rest }: Fields = asObject(item) ?? {}
    counter.addSchema(rest)
    for (const part of Array.isArray(content) ? content : [content]) {
      // Unlike other formats' documents, those of a tool's result stand here as text.
      const document = asObject(part)?.['document']
      if (document === undefined) counter.addContent(part)
      else counter.addSchema(document)
    }
  }
}

function readJson(members: Fields): AnswerFacts {
  return {
    usage: readCohereUsage(members['usage']),
    model: undefined,
    providerId: asText(members['id']),
    serviceTier: undefined,
    storedId: undefined,
    ...(FAILED.has(asText(members['finish_reason']) ?? '') ? { failed: true } : {}),
  }
}
