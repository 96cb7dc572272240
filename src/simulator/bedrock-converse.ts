import { brokenStep, EVENT_STREAM, eventStep, exceptionStep } from './bedrock-frames.ts'
import { type Call, isObject, type JsonObject, jsonReply, lastMessage, positiveInteger, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import {
  type Choice,
  choiceText,
  generateChoices,
  type Part,
  parsedArguments,
  partText,
  type SplitInput,
  schemaOr,
  splitInput,
  type Tool,
  type Wish,
} from './generate-answer.ts'
import { ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST …/model/MODEL/converse` and `/converse-stream`. Throws ProviderError for what the real one refuses. */
export function converse(call: Call, stream: boolean): Reply {
  const { body } = call
  if (!Array.isArray(body['messages']) || body['messages'].length === 0)
    throw new ProviderError(400, 'The value at messages must not be empty.')
  const choice = generateChoices(call, converseWish(body, stream), 1)[0] as Choice
  const input = splitInput(call, countInput([body['system'], body['messages'], body['toolConfig']]))
  return stream ? converseStream(call, choice, input) : converseJson(call, choice, input)
}

function converseWish(body: JsonObject, stream: boolean): Wish {
  const config = objectAt(body, 'inferenceConfig')
  const more = objectAt(body, 'additionalModelRequestFields')
  const thinking = [more['thinking'], more['reasoning_config'], more['reasoningConfig']].find(isObject)
  return {
    stream,
    limit: positiveInteger(config, 'maxTokens'),
    reasoning: thinking !== undefined && thinking['type'] !== 'disabled',
    tools: converseTools(objectAt(body, 'toolConfig')['tools']),
    useTools: waitsForTool(body),
    schema: converseSchema(body),
  }
}

function converseTools(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  return tools.flatMap((tool) => {
    const spec = isObject(tool) ? tool['toolSpec'] : undefined
    return isObject(spec)
      ? [{ name: String(spec['name']), schema: schemaOr(objectAt(spec, 'inputSchema')['json']) }]
      : []
  })
}

function waitsForTool(body: JsonObject): boolean {
  const content = lastMessage(body['messages'])?.['content']
  return !(Array.isArray(content) && content.some((block) => isObject(block) && block['toolResult'] !== undefined))
}

/** The schema is JSON in a string. */
function converseSchema(body: JsonObject): JsonObject | undefined {
  const format = objectAt(objectAt(body, 'outputConfig'), 'textFormat')
  const schema = objectAt(objectAt(format, 'structure'), 'jsonSchema')['schema']
  return typeof schema === 'string' ? schemaOr(JSON.parse(schema)) : undefined
}

export function converseUserText(body: JsonObject): string {
  const messages: unknown[] = Array.isArray(body['messages']) ? body['messages'] : []
  const last = messages.findLast((message) => isObject(message) && message['role'] === 'user')
  const content = isObject(last) ? last['content'] : undefined
  if (!Array.isArray(content)) return ''
  return content.map((block) => (isObject(block) && typeof block['text'] === 'string' ? block['text'] : '')).join('')
}

const STOP = { stop: 'end_turn', length: 'max_tokens', tools: 'tool_use' } as const

/** `usage` of Converse: `inputTokens` leaves out what was read from cache or written to it. */
function converseUsage(input: SplitInput, outputTokens: number): JsonObject {
  const written = input.written + input.writtenHour
  const details = [
    { ttl: '1h', inputTokens: input.writtenHour },
    { ttl: '5m', inputTokens: input.written },
  ].filter(({ inputTokens }) => inputTokens > 0)
  return {
    inputTokens: input.rest,
    outputTokens,
    totalTokens: input.total + outputTokens,
    ...(input.cached + written > 0 ? { cacheReadInputTokens: input.cached, cacheWriteInputTokens: written } : {}),
    ...(details.length > 0 ? { cacheDetails: details } : {}),
  }
}

function converseJson(call: Call, choice: Choice, input: SplitInput): Reply {
  const value = {
    metrics: { latencyMs: call.controls.latencyMs + 1 },
    output: { message: { role: 'assistant', content: [...thoughts(call, choice), ...choice.parts.map(block)] } },
    stopReason: STOP[choice.finish],
    ...(call.controls.faults.has('no_usage') ? {} : { usage: converseUsage(input, choice.outputTokens) }),
    ...serviceTier(call.body),
  }
  return jsonReply(value, choice.outputTokens, choiceText(choice))
}

function serviceTier(body: JsonObject): JsonObject {
  return isObject(body['serviceTier']) ? { serviceTier: body['serviceTier'] } : {}
}

const THOUGHT = ' hmm'

function thoughts(call: Call, { reasoningTokens }: Choice): JsonObject[] {
  if (reasoningTokens === 0) return []
  const reasoningText = { text: THOUGHT.repeat(reasoningTokens), signature: idTail(call.idSeed + 1, 64) }
  return [{ reasoningContent: { reasoningText } }]
}

function block(part: Part): JsonObject {
  if (part.type === 'text') return { text: partText(part) }
  return { toolUse: { toolUseId: toolId(part.id), name: part.name, input: parsedArguments(part) } }
}

function toolId(id: string): string {
  return `tooluse_${id.slice(0, 22)}`
}

function converseStream(call: Call, choice: Choice, input: SplitInput): Reply {
  return {
    kind: 'stream',
    contentType: EVENT_STREAM,
    binary: true,
    steps: converseSteps(call, choice, input),
    tokens: choice.outputTokens,
    errorEvent: exceptionStep('modelStreamErrorException', 'The model broke off its answer.'),
    failedEvent: exceptionStep('throttlingException', 'Too many tokens, please wait before trying again.'),
    brokenEvent: brokenStep('contentBlockDelta'),
  }
}

function* converseSteps(call: Call, choice: Choice, input: SplitInput): Generator<string> {
  const { faults, latencyMs } = call.controls
  yield eventStep('messageStart', { role: 'assistant' })
  let index = 0
  let closing = ''
  if (choice.reasoningTokens > 0) {
    for (let i = 0; i < choice.reasoningTokens; i++) yield delta(0, { reasoningContent: { text: THOUGHT } })
    closing = delta(0, { reasoningContent: { signature: idTail(call.idSeed + 1, 64) } }) + stop(index++)
  }
  for (const part of choice.parts) {
    // Only what a tool is called with has a start of its own.
    let opening = closing
    if (part.type === 'tool') {
      const start = { toolUse: { toolUseId: toolId(part.id), name: part.name } }
      opening += eventStep('contentBlockStart', { contentBlockIndex: index, start })
    }
    for (const token of part.tokens) {
      yield opening + delta(index, part.type === 'text' ? { text: token } : { toolUse: { input: token } })
      opening = ''
    }
    closing = opening + stop(index++)
  }
  const end = closing + eventStep('messageStop', { stopReason: STOP[choice.finish] })
  const metadata = {
    metrics: { latencyMs: latencyMs + 1 },
    ...(faults.has('no_usage') ? {} : { usage: converseUsage(input, choice.outputTokens) }),
    ...serviceTier(call.body),
  }
  yield faults.has('no_terminal') ? end : end + eventStep('metadata', metadata)
}

function delta(contentBlockIndex: number, value: JsonObject): string {
  return eventStep('contentBlockDelta', { contentBlockIndex, delta: value })
}

function stop(contentBlockIndex: number): string {
  return eventStep('contentBlockStop', { contentBlockIndex })
}

export function objectAt(body: JsonObject, name: string): JsonObject {
  const value = body[name]
  return isObject(value) ? value : {}
}
