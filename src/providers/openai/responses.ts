/** POST …/responses. */
import { idsInBody } from '../ids-in-body.ts'
import { InputCounter } from '../input-counter.ts'
import type { JsonBody } from '../json-body.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asObject, asText, readFlag } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { heldImageTool } from './image-tool.ts'
import { idsOfItems, keptObjects } from './kept-objects.ts'
import { openAIMedia } from './media-cost.ts'
import {
  fetchesInput,
  hasTools,
  isStrictSchema,
  type OpenAIParsed,
  ownLimitName,
  prepareOpenAI,
  readOpenAIBody,
  readReasoning,
} from './openai-call.ts'
import { readOtherModels } from './other-models.ts'
import { exactTexts } from './own-model.ts'
import { readModelOrFirst } from './path-model.ts'
import { answeredTier, askedTier } from './price-tier.ts'
import { responseJob } from './response-job.ts'
import { ResponsesStream } from './responses-stream.ts'
import { countToolCalls, readResponsesUsage } from './responses-usage.ts'
import { templateTokens } from './template-tokens.ts'
import { heldToolCalls } from './tool-fees.ts'

const LIMITS = ['max_output_tokens']
const ITEM_TOKENS = 8

export const responsesMetering: Metering = {
  readCall: readResponsesCall,
  prepare: (raw, call, edits) => prepareOpenAI(raw, call, edits, 'max_output_tokens'),
  outputLimitName: (call): string => ownLimitName(call, 'max_output_tokens'),
  createStreamReader: (call): StreamReader => new ResponsesStream(call),
  jsonMembers: ['id', 'model', 'usage', 'service_tier', 'output', 'tool_usage', 'status', 'background'],
  readJson: readResponsesJson,
}

function readResponsesCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const template = fields['prompt'] !== undefined && fields['prompt'] !== null
  const model = readModelOrFirst(
    fields,
    template ? ' It is needed beside a prompt template too, to know the price.' : '',
  )
  const limits = readLimits(body, LIMITS, 1)
  const conversation = readReferences(fields)
  const objects = idsInBody(fields)
  const reasoning = readReasoning(fields)
  const counter = new InputCounter(openAIMedia(model), exactTexts(model, source))
  const parsed: OpenAIParsed = {
    insertAt: body.insertAt,
    limits,
    usage: undefined,
    usageIsOurs: false,
    stored: readFlag(fields, 'store') !== false,
    conversation,
  }
  return {
    model,
    stream: readFlag(fields, 'stream') === true,
    input: countResponsesInput(counter, body, model),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: 1,
    thinkingBudget: reasoning.budget,
    reasoning: reasoning.asked,
    structured: isStrictSchema(asObject(fields['text'])?.['format']),
    tools: hasTools(fields),
    audioOutput: asArray(fields['modalities']).includes('audio'),
    ...readOtherModels(fields, model),
    ...askedTier(fields),
    ...heldToolCalls(fields),
    ...heldImageTool(fields),
    ...(readFlag(fields, 'background') === true ? { goesOn: true } : {}),
    objects,
    unseenInput: counter.unseen || objects.length > 0 || template || fetchesInput(fields),
    parsed,
  }
}

/** What the call goes on from must be an id, and plainly one. Answers the conversation's. */
function readReferences(fields: Readonly<Record<string, unknown>>): string | undefined {
  const { previous_response_id: previous, conversation } = fields
  if (previous !== undefined && previous !== null) readId(previous, 'previous_response_id')
  if (conversation === undefined || conversation === null) return undefined
  return readId(asObject(conversation)?.['id'] ?? conversation, 'conversation')
}

function readId(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= 256) return value
  throw new InvalidCall(`"${field}" must be an id of at most 256 characters.`, field)
}

function countResponsesInput(counter: InputCounter, body: JsonBody, model: string): CallRequest['input'] {
  const fields = body.value
  counter.addOverhead(templateTokens(fields, model) + ITEM_TOKENS * asArray(fields['input']).length)
  counter.addContent(fields['input'])
  counter.addContent(fields['instructions'])
  counter.addSchema(fields['tools'])
  counter.addSchema(asObject(fields['text'])?.['format'])
  counter.addContent(asObject(asObject(fields['prompt'])?.['variables']))
  return counter.estimate()
}

function readResponsesJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const providerId = asText(members['id'])
  const job = call.goesOn ? responseJob(providerId, members['status'], call) : undefined
  return {
    ...(job ? { job } : {}),
    usage: readResponsesUsage(
      members['usage'],
      countToolCalls(members['output'], members['tool_usage'], call.beside?.model),
    ),
    model: asText(members['model']),
    providerId,
    ...statedCostOf(members['usage']),
    serviceTier: answeredTier(members['service_tier'], members['usage']),
    ...keptObjects(call, providerId, idsOfItems(members['output'])),
  }
}
