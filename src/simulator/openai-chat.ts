import {
  type Call,
  contentText,
  isObject,
  type JsonObject,
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
  partText,
  type SplitInput,
  schemaOr,
  splitInput,
  sumOutput,
  type Tool,
  type ToolPart,
  type Wish,
} from './generate-answer.ts'
import { MID_STREAM_ERROR, openaiErrorBody, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST …/chat/completions`. Throws ProviderError for what the real one refuses. */
export function chat(call: Call): Reply {
  const { body } = call
  const stream = body['stream'] === true
  checkChat(call, stream)
  const choices = generateChoices(call, chatWish(body, stream), positiveInteger(body, 'n') ?? 1)
  const input = splitInput(call, countInput(body['messages']) + countInput(body['tools']) + 3)
  const usage = chatUsage(input, choices)
  if (stream) return chatStream(call, choices, usage)
  return chatJson(call, choices, usage)
}

function checkChat({ body, controls: { faults } }: Call, stream: boolean): void {
  if (!Array.isArray(body['messages']) || body['messages'].length === 0) {
    throw new ProviderError(400, "Missing required parameter: 'messages'.", 'missing_required_parameter', 'messages')
  }
  if (body['stream_options'] !== undefined && faults.has('strict'))
    throw new ProviderError(422, 'Extra inputs are not permitted: stream_options', null, 'stream_options')
  if (body['stream_options'] && !stream) {
    const message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    throw new ProviderError(400, message, null, 'stream_options')
  }
}

function chatWish(body: JsonObject, stream: boolean): Wish {
  const effort = body['reasoning_effort']
  return {
    stream,
    limit: positiveInteger(body, 'max_completion_tokens') ?? positiveInteger(body, 'max_tokens'),
    reasoning: typeof effort === 'string' && effort !== 'none' && effort !== 'minimal',
    tools: chatTools(body['tools']),
    useTools: lastMessage(body['messages'])?.['role'] === 'user' && body['tool_choice'] !== 'none',
    schema: chatSchema(body['response_format']),
  }
}

function chatTools(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  const functions = tools.flatMap((tool) => (isObject(tool) && isObject(tool['function']) ? [tool['function']] : []))
  return functions.map((tool) => ({ name: String(tool['name']), schema: schemaOr(tool['parameters']) }))
}

function chatSchema(format: unknown): JsonObject | undefined {
  if (!isObject(format)) return undefined
  if (format['type'] === 'json_object') return { properties: { answer: { type: 'string' } } }
  if (format['type'] !== 'json_schema' || !isObject(format['json_schema'])) return undefined
  return schemaOr(format['json_schema']['schema'])
}

/** `usage` of chat completions: cached tokens are inside `prompt_tokens`, reasoning inside `completion_tokens`. */
function chatUsage(input: SplitInput, choices: readonly Choice[]): JsonObject {
  const { output, reasoning } = sumOutput(choices)
  return {
    prompt_tokens: input.total,
    completion_tokens: output,
    total_tokens: input.total + output,
    prompt_tokens_details: { cached_tokens: input.cached, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

const FINISH = { stop: 'stop', length: 'length', tools: 'tool_calls' } as const

function chatJson(call: Call, choices: readonly Choice[], usage: JsonObject): Reply {
  const value = {
    id: `chatcmpl-${idTail(call.idSeed, 29)}`,
    object: 'chat.completion',
    created: call.nowSeconds,
    model: call.model,
    choices: choices.map(jsonChoice),
    ...(call.controls.faults.has('no_usage') ? {} : { usage }),
    service_tier: serviceTier(call.body),
    system_fingerprint: 'fp_simulator',
  }
  return jsonReply(value, sumOutput(choices).output, choiceText(choices[0] as Choice))
}

function jsonChoice(choice: Choice, index: number): JsonObject {
  const text = choiceText(choice)
  const toolCalls = choice.parts.flatMap((part) => (part.type === 'tool' ? [jsonToolCall(part)] : []))
  const content = toolCalls.length > 0 && text === '' ? null : text
  const tools = toolCalls.length > 0 ? { tool_calls: toolCalls } : {}
  const message = { role: 'assistant', content, ...tools, refusal: null, annotations: [] }
  return { index, message, logprobs: null, finish_reason: FINISH[choice.finish] }
}

function jsonToolCall(part: ToolPart): JsonObject {
  return { id: `call_${part.id}`, type: 'function', function: { name: part.name, arguments: partText(part) } }
}

/** The tier that was used: the one asked for, as far as there is such a thing here. */
export function serviceTier(body: JsonObject): string {
  const asked = body['service_tier']
  return asked === 'flex' || asked === 'priority' ? asked : 'default'
}

function chatStream(call: Call, choices: readonly Choice[], usage: JsonObject): Reply {
  const place = usagePlace(call)
  const error = `data: ${openaiErrorBody(MID_STREAM_ERROR)}\n\n`
  return {
    kind: 'stream',
    steps: chatSteps(call, choices, usage, place),
    tokens: sumOutput(choices).output,
    errorEvent: error,
    failedEvent: error,
  }
}

/** Where a stream states its usage: in a chunk of its own if asked, or as the dialects of others do it. */
type UsagePlace = 'apart' | 'beside' | 'each' | 'groq' | 'nowhere'

function usagePlace({ body, controls: { faults } }: Call): UsagePlace {
  if (faults.has('no_usage')) return 'nowhere'
  if (faults.has('usage_beside')) return 'beside'
  if (faults.has('usage_each')) return 'each'
  if (faults.has('usage_groq')) return 'groq'
  const options = body['stream_options']
  return isObject(options) && options['include_usage'] === true ? 'apart' : 'nowhere'
}

function* chatSteps(call: Call, choices: readonly Choice[], usage: JsonObject, place: UsagePlace): Generator<string> {
  const chunk = chunkWriter(call, usage, place)
  const role = JSON.stringify({ role: 'assistant', content: hasText(choices) ? '' : null, refusal: null })
  yield choices.map((_, index) => chunk.delta(index, role)).join('')
  const running = choices.map((choice, index) => choiceSteps(chunk, choice, index))
  yield* roundRobin(running)
  let end = choices.map((choice, index) => chunk.finish(index, FINISH[choice.finish])).join('')
  if (place === 'apart') end += chunk.usage()
  yield call.controls.faults.has('no_terminal') ? end : `${end}data: [DONE]\n\n`
}

/** One step of each in turn, until all have ended. */
export function* roundRobin(running: readonly Iterator<string>[]): Generator<string> {
  let open = [...running]
  while (open.length > 0) {
    const left: Iterator<string>[] = []
    for (const steps of open) {
      const step = steps.next()
      if (step.done) continue
      left.push(steps)
      yield step.value
    }
    open = left
  }
}

function hasText(choices: readonly Choice[]): boolean {
  return choices.some((choice) => choice.parts.some((part: Part) => part.type === 'text'))
}

function* choiceSteps(chunk: ChunkWriter, choice: Choice, index: number): Generator<string> {
  for (let i = 0; i < choice.reasoningTokens; i++) yield ''
  let tool = 0
  for (const part of choice.parts) {
    if (part.type === 'text') yield* textSteps(chunk, part.tokens, index)
    else yield* toolSteps(chunk, part, index, tool++)
  }
}

function* textSteps(chunk: ChunkWriter, tokens: Iterable<string>, index: number): Generator<string> {
  for (const token of tokens) yield chunk.delta(index, `{"content":${JSON.stringify(token)}}`)
}

function* toolSteps(chunk: ChunkWriter, part: ToolPart, index: number, tool: number): Generator<string> {
  const call = { index: tool, id: `call_${part.id}`, type: 'function', function: { name: part.name, arguments: '' } }
  let opening = chunk.delta(index, JSON.stringify({ tool_calls: [call] }))
  for (const token of part.tokens) {
    const piece = JSON.stringify({ tool_calls: [{ index: tool, function: { arguments: token } }] })
    yield opening + chunk.delta(index, piece)
    opening = ''
  }
}

interface ChunkWriter {
  delta(index: number, delta: string): string
  finish(index: number, reason: string): string
  usage(): string
}

/** Chunks put together as text: one JSON.stringify a token for the whole envelope halved the rate of events. */
function chunkWriter(call: Call, usage: JsonObject, place: UsagePlace): ChunkWriter {
  const envelope = {
    id: `chatcmpl-${idTail(call.idSeed, 29)}`,
    object: 'chat.completion.chunk',
    created: call.nowSeconds,
    model: call.model,
    service_tier: serviceTier(call.body),
    system_fingerprint: 'fp_simulator',
  }
  const head = `data: ${JSON.stringify(envelope).slice(0, -1)},"choices":[`
  const tail = place === 'apart' ? '],"usage":null}\n\n' : ']}\n\n'
  const stated = JSON.stringify(usage)
  const last =
    place === 'beside' || place === 'each'
      ? `],"usage":${stated}}\n\n`
      : place === 'groq'
        ? `],"x_groq":{"id":"req_1","usage":${stated}}}\n\n`
        : tail
  let tokens = 0
  const next = () => (place === 'each' ? `],"usage":${JSON.stringify(usageAfter(usage, tokens++))}}\n\n` : tail)
  const chunk = (index: number, delta: string, reason: string, after: string) =>
    `${head}{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":${reason}}${after}`
  return {
    delta: (index, delta) => chunk(index, delta, 'null', next()),
    finish: (index, reason) => chunk(index, '{}', `"${reason}"`, last),
    usage: () => `${head}],"usage":${stated}}\n\n`,
  }
}

function usageAfter(usage: JsonObject, tokens: number): JsonObject {
  const prompt = Number(usage['prompt_tokens'])
  return { prompt_tokens: prompt, completion_tokens: tokens, total_tokens: prompt + tokens }
}

/** The last user text of a conversation, which may carry controls. */
export function lastUserText(body: JsonObject): string {
  const last = lastMessage(body['messages'])
  return last?.['role'] === 'user' ? contentText(last['content']) : ''
}
