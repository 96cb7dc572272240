/** POST …/chat/completions. */
import type { Upstream } from '../../config/snapshot.ts'
import { failedAnswer } from '../failed-answer.ts'
import { idsInBody } from '../ids-in-body.ts'
import { InputCounter } from '../input-counter.ts'
import type { JsonBody } from '../json-body.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import type { AnswerFacts, CallRequest, CallSource, InputEstimate, Metering, StreamReader } from '../provider.ts'
import { asArray, asText, readFlag, readWholeNumber } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { readChatUsage, withBreakdown } from './chat-usage.ts'
import { CompletionStream } from './completion-stream.ts'
import { readUsageRequest } from './include-usage.ts'
import { chatLimitName } from './limit-name.ts'
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
import { readCallModel } from './path-model.ts'
import { answeredTier, askedTier } from './price-tier.ts'
import { templateTokens } from './template-tokens.ts'
import { heldToolCalls } from './tool-fees.ts'

type ModelOf = (fields: Readonly<Record<string, unknown>>, path: string) => string

/** n_predict is llama.cpp's own name and wins there over max_tokens. */
const LIMITS = ['max_completion_tokens', 'max_tokens', 'n_predict']
/** Chat templates cost 3 to 7 tokens a message. */
const MESSAGE_TOKENS = 8

export const chatMetering: Metering = {
  readCall: (raw, source) => readChatCall(raw, source),
  prepare: (raw, call, edits) => prepareOpenAI(raw, call, edits, chatLimitName(edits.upstream)),
  outputLimitName: (call: CallRequest, upstream: Upstream): string => ownLimitName(call, chatLimitName(upstream)),
  createStreamReader: (call): StreamReader => new CompletionStream(call, 'chat.completion.chunk'),
  jsonMembers: ['id', 'model', 'usage', 'usage_breakdown', 'service_tier', 'timings', 'x_groq', 'error'],
  readJson: readCompletionJson,
}

/** `modelOf`: where a dialect has the model's name in another place. Throws InvalidCall. */
export function readChatCall(raw: Buffer, source: CallSource, modelOf: ModelOf = readCallModel): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const model = modelOf(fields, source.path)
  const stream = readFlag(fields, 'stream') === true
  const limits = readLimits(body, LIMITS, 1)
  const reasoning = readReasoning(fields)
  const counter = new InputCounter(openAIMedia(model), exactTexts(model, source))
  const parsed: OpenAIParsed = {
    insertAt: body.insertAt,
    limits,
    usage: stream ? readUsageRequest(raw, body, source) : undefined,
    usageIsOurs: false,
    stored: readFlag(fields, 'store') === true,
  }
  return {
    model,
    stream,
    input: countChatInput(counter, body, model),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: readWholeNumber(fields, 'n', 1) ?? 1,
    thinkingBudget: reasoning.budget,
    reasoning: reasoning.asked,
    structured: isStrictSchema(fields['response_format']),
    tools: hasTools(fields),
    audioOutput: asArray(fields['modalities']).includes('audio'),
    imageOutput: asArray(fields['modalities']).includes('image'),
    ...readOtherModels(fields, model),
    ...askedTier(fields),
    ...heldToolCalls(fields),
    objects: idsInBody(fields),
    unseenInput: counter.unseen || fetchesInput(fields),
    parsed,
  }
}

function countChatInput(counter: InputCounter, body: JsonBody, model: string): InputEstimate {
  const fields = body.value
  counter.addOverhead(templateTokens(fields, model) + MESSAGE_TOKENS * asArray(fields['messages']).length)
  counter.addContent(fields['messages'])
  for (const name of ['tools', 'functions', 'response_format', 'prediction', 'documents', 'guided_json'])
    if (fields[name] !== undefined && fields[name] !== null) counter.addSchema(fields[name])
  return counter.estimate()
}

/** Facts of a whole chat or legacy completion. */
export function readCompletionJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const usage = members['usage'] ?? (members['x_groq'] as { readonly usage?: unknown } | null | undefined)?.usage
  const providerId = asText(members['id'])
  return {
    usage: withBreakdown(readChatUsage(usage, members['timings']), members['usage_breakdown']),
    model: asText(members['model']),
    providerId,
    ...statedCostOf(usage),
    serviceTier: answeredTier(members['service_tier'], usage),
    storedId: (call.parsed as OpenAIParsed).stored ? providerId : undefined,
    ...failedAnswer(members['error']),
  }
}
