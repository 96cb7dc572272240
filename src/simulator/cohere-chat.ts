import { type Call, isObject, type JsonObject, jsonReply, lastMessage, positiveInteger, type Reply } from './call.ts'
import { billedUnits, FINISH } from './cohere-words.ts'
import { countInput } from './count-input.ts'
import {
  type Choice,
  choiceText,
  functionTools,
  generateChoices,
  partText,
  schemaOr,
  splitInput,
  type ToolPart,
  type Wish,
} from './generate-answer.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST /v2/chat`. */
export function chatV2(call: Call): Reply {
  const { body } = call
  if (!Array.isArray(body['messages']) || body['messages'].length === 0)
    throw new ProviderError(400, 'invalid request: messages must not be empty')
  const stream = body['stream'] === true
  const choice = generateChoices(call, wishOf(body, stream), 1)[0] as Choice
  const counted = countInput(body['messages']) + countInput(body['tools']) + countInput(body['documents']) + 3
  const usage = billedUnits(splitInput(call, counted).total, choice.outputTokens, choice.reasoningTokens)
  const id = `msg-${idTail(call.idSeed, 24)}`
  if (!stream) return chatJson(call, choice, usage, id)
  const failed = namedEvent('message-end', { delta: { finish_reason: 'ERROR', error: MID_STREAM_ERROR.message } })
  return {
    kind: 'stream',
    steps: chatSteps(call, choice, usage, id),
    tokens: choice.outputTokens,
    errorEvent: failed,
    failedEvent: failed,
  }
}

function wishOf(body: JsonObject, stream: boolean): Wish {
  const thinking = body['thinking']
  const format = body['response_format']
  const schema = isObject(format) ? (format['json_schema'] ?? format['schema']) : undefined
  return {
    stream,
    limit: positiveInteger(body, 'max_tokens'),
    reasoning: isObject(thinking) && thinking['type'] === 'enabled',
    tools: functionTools(body['tools']),
    useTools: lastMessage(body['messages'])?.['role'] === 'user' && body['tool_choice'] !== 'NONE',
    schema: schema === undefined ? undefined : schemaOr(schema),
  }
}

function chatJson(call: Call, choice: Choice, usage: JsonObject, id: string): Reply {
  const text = choiceText(choice)
  const tools = choice.parts.flatMap((part) => (part.type === 'tool' ? [toolCall(part)] : []))
  const thinking = 'hm '.repeat(choice.reasoningTokens)
  const content = [
    ...(thinking === '' ? [] : [{ type: 'thinking', thinking }]),
    ...(text === '' ? [] : [{ type: 'text', text }]),
  ]
  const message = { role: 'assistant', content, ...(tools.length > 0 ? { tool_calls: tools } : {}) }
  const value = { id, message, finish_reason: FINISH[choice.finish], ...statedUsage(call, usage) }
  return jsonReply(value, choice.outputTokens, text)
}

function statedUsage(call: Call, usage: JsonObject): JsonObject {
  return call.controls.faults.has('no_usage') ? {} : { usage }
}

function toolCall(part: ToolPart): JsonObject {
  return { id: `${part.name}_${part.id}`, type: 'function', function: { name: part.name, arguments: partText(part) } }
}

function* chatSteps(call: Call, choice: Choice, usage: JsonObject, id: string): Generator<string> {
  const message = { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] }
  yield namedEvent('message-start', { id, delta: { message } })
  let index = 0
  const thoughts = Array.from({ length: choice.reasoningTokens }, () => 'hm ')
  if (thoughts.length > 0) yield* contentSteps(thoughts, 'thinking', index++)
  for (const part of choice.parts)
    if (part.type === 'text') yield* contentSteps(part.tokens, 'text', index++)
    else yield* toolSteps(part, index++)
  if (call.controls.faults.has('no_terminal')) return
  const end = { finish_reason: FINISH[choice.finish], ...statedUsage(call, usage) }
  yield `${namedEvent('message-end', { delta: end })}data: [DONE]\n\n`
}

/** One step a token; what opens a block comes with its first, what closes it with its last. */
function* contentSteps(tokens: Iterable<string>, type: 'text' | 'thinking', index: number): Generator<string> {
  let before = namedEvent('content-start', { index, delta: { message: { content: { type, [type]: '' } } } })
  for (const token of tokens) {
    yield before + namedEvent('content-delta', { index, delta: { message: { content: { [type]: token } } } })
    before = ''
  }
  yield namedEvent('content-end', { index })
}

function* toolSteps(part: ToolPart, index: number): Generator<string> {
  const opened = { id: `${part.name}_${part.id}`, type: 'function', function: { name: part.name, arguments: '' } }
  let before = namedEvent('tool-call-start', { index, delta: { message: { tool_calls: opened } } })
  for (const token of part.tokens) {
    const tool_calls = { function: { arguments: token } }
    yield before + namedEvent('tool-call-delta', { index, delta: { message: { tool_calls } } })
    before = ''
  }
  yield namedEvent('tool-call-end', { index })
}

function namedEvent(type: string, fields: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}
