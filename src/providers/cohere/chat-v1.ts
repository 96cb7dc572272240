/** POST /v1/chat. */
import { InputCounter } from '../input-counter.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import { type CallRequest, type CallSource, InvalidCall, type Metering, type StreamReader } from '../provider.ts'
import { asArray, asText, readFlag } from '../read-fields.ts'
import {
  asksForSchema,
  COHERE_MEDIA,
  type CohereParsed,
  META_MEMBERS,
  prepareCohere,
  readCohereBody,
  readMetaJson,
  readOptionalModel,
} from './cohere-call.ts'
import { V1Stream } from './v1-stream.ts'

type Fields = Readonly<Record<string, unknown>>

/** Raised above what the oldest models were billed for a preamble. */
const HEAD_TOKENS = 64
const MESSAGE_TOKENS = 8

export const chatV1Metering: Metering = {
  readCall,
  prepare: prepareCohere,
  outputLimitName: (): string => 'max_tokens',
  framing: 'ndjson',
  createStreamReader: (call, framing): StreamReader => new V1Stream(call, framing, 'chat'),
  jsonMembers: META_MEMBERS,
  readJson: readMetaJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readCohereBody(raw, source)
  const fields = body.value
  if (typeof fields['message'] !== 'string')
    throw new InvalidCall('"message" is missing; v1 takes the user’s turn there, as a string.', 'message')
  const limits = readLimits(body, ['max_tokens'], 0)
  const counter = new InputCounter(COHERE_MEDIA)
  countInput(counter, fields)
  const conversation = asText(fields['conversation_id'])
  const parsed: CohereParsed = { insertAt: body.insertAt, limits }
  return {
    ...PLAIN_CALL,
    model: readOptionalModel(fields),
    stream: readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    structured: asksForSchema(fields),
    tools: asArray(fields['tools']).length > 0,
    // A conversation is kept under a name of the caller's choice: who else chose it cannot be told.
    objects: conversation === undefined ? [] : [conversation],
    unseenInput: conversation !== undefined || asArray(fields['connectors']).length > 0,
    parsed,
  }
}

function countInput(counter: InputCounter, fields: Fields): void {
  counter.addOverhead(HEAD_TOKENS + MESSAGE_TOKENS * (1 + asArray(fields['chat_history']).length))
  counter.addContent(fields['message'])
  counter.addContent(fields['preamble'])
  for (const name of ['chat_history', 'documents', 'tools', 'tool_results', 'response_format'])
    if (fields[name] !== undefined && fields[name] !== null) counter.addSchema(fields[name])
}
