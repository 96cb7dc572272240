/** POST …/model/MODEL/invoke and …/invoke-with-response-stream: the model's own body, as its maker wrote it. */
import { type JsonBody, readJsonBody } from '../json-body.ts'
import { messagesMetering, readMessagesCall } from '../messages/messages.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { optimized } from './answer-headers.ts'
import { readReasoning } from './converse.ts'
import { type Family, familyOf } from './families.ts'
import { INVOKE_MEMBERS, invokeFacts } from './invoke-facts.ts'
import { answersOf, readInvokeInput } from './invoke-input.ts'
import { InvokeStream } from './invoke-stream.ts'
import { type BodyLimits, bodyLimitEdits, bodyLimitName, callersLimit, readBodyLimits } from './limit-places.ts'
import { MessagesChunks } from './messages-chunks.ts'
import { modelOfPath, operationOf } from './model-path.ts'
import { refuseMisspelt } from './refuse-misspelt.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of this endpoint: small, since it lives as long as the call. */
export interface InvokeParsed {
  readonly family: Family
  /** undefined: it generates no text, or is a message, which knows its own. */
  readonly limits: BodyLimits | undefined
  /** Of a message. */
  readonly message: CallRequest | undefined
}

export const invokeMetering: Metering = {
  readCall: readInvokeCall,
  prepare: (raw, call, edits) => {
    const { limits, message } = call.parsed as InvokeParsed
    if (message) return messagesMetering.prepare(raw, message, edits)
    if (edits.outputLimit === undefined || !limits) return raw
    return splice(raw, bodyLimitEdits(limits, edits.outputLimit))
  },
  outputLimitName: (call, upstream): string => {
    const { limits, message } = call.parsed as InvokeParsed
    return limits ? bodyLimitName(limits) : messagesMetering.outputLimitName(message ?? call, upstream)
  },
  framing: 'aws_eventstream',
  createStreamReader: (call, _framing, headers): StreamReader =>
    (call.parsed as InvokeParsed).message ? new MessagesChunks(call, headers) : new InvokeStream(call, headers),
  jsonMembers: INVOKE_MEMBERS,
  readJson: invokeFacts,
  readOther: (_answer, call, headers) => invokeFacts({}, call, headers),
}

function readInvokeCall(raw: Buffer, source: CallSource): CallRequest {
  const model = modelOfPath(source.path)
  const stream = operationOf(source.path) === 'invoke-with-response-stream'
  const body = readJsonBody(raw, source.jsonDepth)
  const family = familyOf(model, body.value)
  const tier = serviceTier(source)
  if (family.name === 'messages') {
    const message = readMessagesCall(raw, source.jsonDepth, { model, stream })
    return { ...message, ...tier, parsed: { family, limits: undefined, message } satisfies InvokeParsed }
  }
  return { ...PLAIN_CALL, ...readOwnBody(raw, body, model, family, source.jsonDepth), ...tier, model, stream }
}

function readOwnBody(
  raw: Buffer,
  body: JsonBody,
  model: string,
  family: Family,
  jsonDepth: number,
): Pick<CallRequest, 'input' | 'generates' | 'outputLimit' | 'answers' | 'parsed' | 'unseenInput'> &
  Partial<CallRequest> {
  const fields = body.value
  refuseMisspelt(body.members.keys(), decisiveNames(family))
  const limits = family.limits && readBodyLimits(raw, body, family.limits, jsonDepth)
  const answers = answersOf(family, fields)
  const { input, unseen, units, billedBy } = readInvokeInput(family, fields, model, answers)
  return {
    input,
    generates: limits !== undefined,
    outputLimit: limits && callersLimit(limits),
    answers: limits ? answers : 1,
    ...readReasoning({}, fields),
    structured: asObject(fields['response_format'])?.['type'] === 'json_schema',
    tools: hasTools(fields),
    ...(units === undefined ? {} : { units }),
    ...(billedBy === undefined ? {} : { billedBy }),
    unseenInput: unseen,
    parsed: { family, limits, message: undefined } satisfies InvokeParsed,
  }
}

function decisiveNames({ limits, answers }: Family): readonly string[] {
  const names = (limits ?? []).map((path) => path.split('.')[0] as string)
  return ['messages', 'prompt', ...(answers === undefined ? [] : [answers]), ...names]
}

function hasTools(fields: Fields): boolean {
  return asArray(fields['tools']).length > 0 || asArray(asObject(fields['toolConfig'])?.['tools']).length > 0
}

function serviceTier({ headers }: CallSource): Pick<CallRequest, 'serviceTier'> {
  const tier =
    asText(headers['x-amzn-bedrock-service-tier']) ?? optimized(headers['x-amzn-bedrock-performanceconfig-latency'])
  return tier === undefined ? {} : { serviceTier: tier }
}
