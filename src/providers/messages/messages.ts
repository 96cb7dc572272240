/** POST …/messages, and the same body where a path names the model and the stream (Vertex, Bedrock). */
import { idsInBody } from '../ids-in-body.ts'
import { InputCounter } from '../input-counter.ts'
import { type JsonBody, readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { highestLimit, limitEdits, type NamedLimit, readLimits } from '../output-limit.ts'
import type { AnswerFacts, CallRequest, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText, readFlag, readModel, readWholeNumber } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { statedCostOf } from '../stated-cost.ts'
import { claudeMedia } from './media-cost.ts'
import { MessagesStream } from './messages-stream.ts'
import { readMessagesUsage } from './messages-usage.ts'
import { answeredTier, askedTier } from './price-tier.ts'
import { heldSearches } from './tool-fees.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of this format. */
interface MessagesParsed {
  readonly insertAt: number
  readonly limits: readonly NamedLimit[]
}

/** Vertex and Bedrock name both in the path. */
export interface NamedByPath {
  readonly model: string
  readonly stream: boolean
}

const DECISIVE = new Set([
  'model',
  'stream',
  'max_tokens',
  'messages',
  'system',
  'tools',
  'thinking',
  'service_tier',
  'speed',
  'inference_geo',
])
const MESSAGE_TOKENS = 8
const HEAD_TOKENS = 16
/** Prompts of Anthropic's own. Source: platform.claude.com, "Tool use", Pricing, and each tool's page; citations measured. */
const PROMPT_TOKENS = { tools: 900, ownTool: 1100, format: 256, citations: 640 }
/** Server-side tools by the start of their type; others (bash_…, text_editor_…, computer_…, memory_…) run at the caller's. */
const CALLER_RUN = /^(custom|bash_|text_editor_|computer_|memory_)/

export const messagesMetering: Metering = {
  readCall: (raw, { jsonDepth }) => readMessagesCall(raw, jsonDepth),
  prepare: (raw, call, edits) => {
    if (edits.outputLimit === undefined) return raw
    const { limits, insertAt } = call.parsed as MessagesParsed
    return splice(raw, limitEdits(limits, insertAt, 'max_tokens', edits.outputLimit))
  },
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call): StreamReader => new MessagesStream(call),
  jsonMembers: ['id', 'model', 'usage'],
  readJson: readMessagesJson,
}

/** `named`: what the path says where the body does not. Throws InvalidCall. */
export function readMessagesCall(raw: Buffer, jsonDepth: number, named?: NamedByPath): CallRequest {
  const body = readJsonBody(raw, jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  const fields = body.value
  const model = named?.model ?? readModel(fields)
  const limits = readLimits(body, ['max_tokens'], 0)
  const thinking = asObject(fields['thinking'])
  const parsed: MessagesParsed = { insertAt: body.insertAt, limits }
  const counter = new InputCounter(claudeMedia(model))
  return {
    model,
    stream: named?.stream ?? readFlag(fields, 'stream') === true,
    input: countInput(counter, body),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: 1,
    thinkingBudget: (thinking && readWholeNumber(thinking, 'budget_tokens', 0)) ?? 0,
    reasoning: thinking !== undefined && thinking['type'] !== 'disabled',
    structured: outputFormat(fields)?.['type'] === 'json_schema',
    tools: asArray(fields['tools']).length > 0,
    audioOutput: false,
    ...askedTier(fields),
    ...heldSearches(fields),
    objects: idsInBody(fields),
    unseenInput: counter.unseen || fetchesInput(fields),
    parsed,
  }
}

function countInput(counter: InputCounter, body: JsonBody): CallRequest['input'] {
  const fields = body.value
  counter.addOverhead(HEAD_TOKENS + MESSAGE_TOKENS * asArray(fields['messages']).length)
  counter.addContent(fields['system'])
  counter.addContent(fields['messages'])
  counter.addOverhead(ownPromptTokens(fields))
  counter.addSchema(fields['tools'])
  counter.addSchema(outputFormat(fields))
  // At the top level it asks for caching of whatever can be cached.
  counter.addSchema({ cache_control: fields['cache_control'] })
  return counter.estimate(compacts(fields) ? 2 : 1)
}

/** System prompts that come with tools, with tools of Anthropic's own, with a schema, with citations. */
function ownPromptTokens(fields: Fields): number {
  const tools = asArray(fields['tools'])
  const own = tools.filter((tool) => asText(asObject(tool)?.['type']) !== undefined)
  return (
    (tools.length > 0 ? PROMPT_TOKENS.tools : 0) +
    own.length * PROMPT_TOKENS.ownTool +
    (outputFormat(fields) ? PROMPT_TOKENS.format : 0) +
    (hasCitations(fields['messages']) ? PROMPT_TOKENS.citations : 0)
  )
}

function hasCitations(messages: unknown): boolean {
  return asArray(messages).some((message) =>
    asArray(asObject(message)?.['content']).some(
      (part) => asObject(asObject(part)?.['citations'])?.['enabled'] === true,
    ),
  )
}

function outputFormat(fields: Fields): Fields | undefined {
  return asObject(asObject(fields['output_config'])?.['format']) ?? asObject(fields['output_format'])
}

/** A compaction pass reads the whole input before the message's own pass does. */
function compacts(fields: Fields): boolean {
  return asArray(asObject(fields['context_management'])?.['edits']).some((edit) =>
    asText(asObject(edit)?.['type'])?.startsWith('compact'),
  )
}

function fetchesInput(fields: Fields): boolean {
  if (asArray(fields['mcp_servers']).length > 0 || asObject(fields['container']) !== undefined) return true
  return asArray(fields['tools']).some((tool) => {
    const type = asText(asObject(tool)?.['type'])
    return type !== undefined && !CALLER_RUN.test(type)
  })
}

/** Facts of a whole message. */
function readMessagesJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  return {
    usage: readMessagesUsage(members['usage'], call.input.cacheWriteKind === 'cache_write_1h'),
    model: asText(members['model']),
    providerId: asText(members['id']),
    ...statedCostOf(members['usage']),
    serviceTier: answeredTier(asObject(members['usage']), call),
    storedId: undefined,
  }
}
