import {
  type Call,
  isObject,
  type JsonObject,
  type JsonReply,
  jsonReply,
  lastMessage,
  positiveInteger,
  type Reply,
} from './call.ts'
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
import { anthropicErrorBody, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST …/messages`. Throws ProviderError for what the real one refuses. */
export function messages(call: Call): Reply {
  const { body } = call
  const stream = body['stream'] === true
  checkMessages(body)
  if (positiveInteger(body, 'max_tokens') === undefined) throw new ProviderError(400, 'max_tokens: Field required')
  const choice = generateChoices(call, messageWish(body, stream), 1)[0] as Choice
  const input = splitInput(call, countMessageInput(body))
  if (stream) return messageStream(call, choice, input)
  return messageJson(call, choice, input)
}

/** `POST …/messages/count_tokens`. */
export function countTokens(call: Call): JsonReply {
  checkMessages(call.body)
  return jsonReply({ input_tokens: call.controls.input ?? countMessageInput(call.body) })
}

function checkMessages(body: JsonObject): void {
  if (!Array.isArray(body['messages'])) throw new ProviderError(400, 'messages: Field required')
  if (body['messages'].length === 0) throw new ProviderError(400, 'messages: at least one message is required')
  const thinking = body['thinking']
  const budget = isObject(thinking) ? thinking['budget_tokens'] : undefined
  const limit = body['max_tokens']
  if (typeof budget === 'number' && typeof limit === 'number' && limit <= budget) {
    throw new ProviderError(400, '`max_tokens` must be greater than `thinking.budget_tokens`.')
  }
}

function countMessageInput(body: JsonObject): number {
  return countInput(body['system']) + countInput(body['messages']) + countInput(body['tools'])
}

function messageWish(body: JsonObject, stream: boolean): Wish {
  const thinking = body['thinking']
  const choice = body['tool_choice']
  return {
    stream,
    limit: positiveInteger(body, 'max_tokens'),
    reasoning: isObject(thinking) && thinking['type'] !== 'disabled',
    tools: messageTools(body['tools']),
    useTools: waitsForTool(body) && !(isObject(choice) && choice['type'] === 'none'),
    schema: messageSchema(body),
  }
}

function messageTools(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  const own = tools.filter((tool) => isObject(tool) && isObject(tool['input_schema']))
  return own.map((tool) => ({ name: String(tool['name']), schema: schemaOr(tool['input_schema']) }))
}

function waitsForTool(body: JsonObject): boolean {
  const content = lastMessage(body['messages'])?.['content']
  return !(Array.isArray(content) && content.some((part) => isObject(part) && part['type'] === 'tool_result'))
}

function messageSchema(body: JsonObject): JsonObject | undefined {
  const config = body['output_config']
  const format = isObject(config) && config['format'] !== undefined ? config['format'] : body['output_format']
  return isObject(format) && format['type'] === 'json_schema' ? schemaOr(format['schema']) : undefined
}

const STOP = { stop: 'end_turn', length: 'max_tokens', tools: 'tool_use' } as const

function messageId(call: Call): string {
  return `msg_01${idTail(call.idSeed, 22)}`
}

/** `usage` of messages: `input_tokens` leaves out what was read from cache or written to it. */
function messageUsage(input: SplitInput, outputTokens: number): JsonObject {
  return {
    input_tokens: input.rest,
    cache_creation_input_tokens: input.written + input.writtenHour,
    cache_read_input_tokens: input.cached,
    cache_creation: { ephemeral_5m_input_tokens: input.written, ephemeral_1h_input_tokens: input.writtenHour },
    output_tokens: outputTokens,
    service_tier: 'standard',
    inference_geo: 'global',
  }
}

function messageJson(call: Call, choice: Choice, input: SplitInput): JsonReply {
  const value = {
    model: call.model,
    id: messageId(call),
    type: 'message',
    role: 'assistant',
    content: [...thinkingBlocks(call, choice), ...choice.parts.map(block)],
    stop_reason: STOP[choice.finish],
    stop_sequence: null,
    ...(call.controls.faults.has('no_usage') ? {} : { usage: messageUsage(input, choice.outputTokens) }),
  }
  return jsonReply(value, choice.outputTokens, choiceText(choice))
}

function thinkingBlocks(call: Call, choice: Choice): JsonObject[] {
  if (choice.reasoningTokens === 0) return []
  return [{ type: 'thinking', thinking: thought(choice.reasoningTokens), signature: idTail(call.idSeed + 1, 64) }]
}

const THOUGHT = ' hmm'

function thought(tokens: number): string {
  return THOUGHT.repeat(tokens)
}

function block(part: Part): JsonObject {
  if (part.type === 'text') return { type: 'text', text: partText(part) }
  return { type: 'tool_use', id: `toolu_01${part.id.slice(0, 22)}`, name: part.name, input: parsedArguments(part) }
}

function messageStream(call: Call, choice: Choice, input: SplitInput): Reply {
  const body = anthropicErrorBody(new ProviderError(529, 'Overloaded'), `req_${idTail(call.idSeed + 2, 24)}`)
  const error = `event: error\ndata: ${body}\n\n`
  return {
    kind: 'stream',
    steps: messageSteps(call, choice, input),
    tokens: choice.outputTokens,
    errorEvent: error,
    failedEvent: error,
  }
}

function* messageSteps(call: Call, choice: Choice, input: SplitInput): Generator<string> {
  const { faults } = call.controls
  yield messageStart(call, faults.has('no_usage') ? undefined : messageUsage(input, 1))
  let index = 0
  let closing = ''
  if (choice.reasoningTokens > 0) {
    yield* thinkingSteps(choice.reasoningTokens)
    closing = signatureDelta(call) + blockStop(index++)
  }
  for (const part of choice.parts) {
    const unsent = yield* blockSteps(part, index, closing)
    closing = unsent + blockStop(index++)
  }
  const usage = faults.has('no_usage') ? undefined : endUsage(input, choice.outputTokens)
  const delta = { stop_reason: STOP[choice.finish], stop_sequence: null }
  const end =
    closing + event('message_delta', { type: 'message_delta', delta, ...(usage === undefined ? {} : { usage }) })
  yield faults.has('no_terminal') ? end : end + event('message_stop', { type: 'message_stop' })
}

function endUsage(input: SplitInput, outputTokens: number): JsonObject {
  return {
    input_tokens: input.rest,
    cache_creation_input_tokens: input.written + input.writtenHour,
    cache_read_input_tokens: input.cached,
    output_tokens: outputTokens,
  }
}

function messageStart(call: Call, usage: JsonObject | undefined): string {
  const message = {
    model: call.model,
    id: messageId(call),
    type: 'message',
    role: 'assistant',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    ...(usage === undefined ? {} : { usage }),
  }
  return event('message_start', { type: 'message_start', message }) + event('ping', { type: 'ping' })
}

function* thinkingSteps(tokens: number): Generator<string> {
  let opening = blockStart(0, { type: 'thinking', thinking: '', signature: '' })
  for (let i = 0; i < tokens; i++) {
    yield opening + blockDelta(0, 'thinking_delta', 'thinking', THOUGHT)
    opening = ''
  }
}

function signatureDelta(call: Call): string {
  return blockDelta(0, 'signature_delta', 'signature', idTail(call.idSeed + 1, 64))
}

/** Yields a step for each token and returns what opens the block where there was none to carry it. */
function* blockSteps(part: Part, index: number, closing: string): Generator<string, string> {
  const opened =
    part.type === 'text'
      ? { type: 'text', text: '' }
      : { type: 'tool_use', id: `toolu_01${part.id.slice(0, 22)}`, name: part.name, input: {} }
  let opening = closing + blockStart(index, opened)
  for (const token of part.tokens) {
    const delta =
      part.type === 'text'
        ? blockDelta(index, 'text_delta', 'text', token)
        : blockDelta(index, 'input_json_delta', 'partial_json', token)
    yield opening + delta
    opening = ''
  }
  return opening
}

function blockStart(index: number, block: JsonObject): string {
  return event('content_block_start', { type: 'content_block_start', index, content_block: block })
}

function blockDelta(index: number, type: string, field: string, text: string): string {
  const delta = `{"type":"${type}","${field}":${JSON.stringify(text)}}`
  return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":${delta}}\n\n`
}

function blockStop(index: number): string {
  return event('content_block_stop', { type: 'content_block_stop', index })
}

function event(name: string, data: JsonObject): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
