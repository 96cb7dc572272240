import {
  type Call,
  contentText,
  isObject,
  type JsonObject,
  jsonLine,
  jsonReply,
  lastMessage,
  type Reply,
} from './call.ts'
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
} from './generate-answer.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { createRandom } from './random.ts'

const DIMENSIONS = 8
const NANOSECONDS_PER_TOKEN = 10_000_000

/** `POST /api/chat`, `POST /api/generate`: a stream of lines unless the call says otherwise. */
export function ollamaChat(call: Call): Reply {
  const { body } = call
  const prompt = call.target.includes('/generate') ? body['prompt'] : body['messages']
  const stream = body['stream'] !== false
  if (prompt === undefined || prompt === '' || (Array.isArray(prompt) && prompt.length === 0))
    return loaded(call, stream)
  const choice = generateChoices(call, wishOf(body, stream), 1)[0] as Choice
  const counted = countInput(prompt) + countInput(body['system']) + countInput(body['tools']) + 3
  const end = {
    done: true,
    done_reason: choice.finish === 'length' ? 'length' : 'stop',
    ...countsOf(call, splitInput(call, counted).total, choice.outputTokens),
  }
  if (stream) return lines(call, choice, end)
  const text = choiceText(choice)
  const thinking = 'hm '.repeat(choice.reasoningTokens)
  const tools = choice.parts.flatMap((part) => (part.type === 'tool' ? [toolCall(part)] : []))
  const said = answer(call, text, {
    ...(thinking === '' ? {} : { thinking }),
    ...(tools.length > 0 ? { tool_calls: tools } : {}),
  })
  return jsonReply({ ...said, ...end }, choice.outputTokens, text)
}

/** A call without a prompt brings the model into memory, and says only that. */
function loaded(call: Call, stream: boolean): Reply {
  const value = { ...answer(call, '', {}), done: true, done_reason: 'load' }
  if (!stream) return jsonReply(value)
  return { ...lines(call, undefined, {}), steps: [jsonLine(value)][Symbol.iterator](), tokens: 0 }
}

function wishOf(body: JsonObject, stream: boolean) {
  const options = isObject(body['options']) ? body['options'] : {}
  const limit = options['num_predict']
  if (limit !== undefined && limit !== null && !Number.isInteger(limit))
    throw new ProviderError(400, `option "num_predict" must be of type integer`)
  const format = body['format']
  return {
    stream,
    limit: typeof limit === 'number' && limit > 0 ? limit : undefined,
    reasoning: body['think'] === true || typeof body['think'] === 'string',
    tools: functionTools(body['tools']),
    useTools: lastMessage(body['messages'])?.['role'] === 'user',
    schema: isObject(format) ? schemaOr(format) : undefined,
  }
}

function countsOf(call: Call, input: number, output: number): JsonObject {
  const { faults } = call.controls
  if (faults.has('no_usage')) return {}
  return {
    total_duration: (input + output) * NANOSECONDS_PER_TOKEN,
    load_duration: NANOSECONDS_PER_TOKEN,
    ...(faults.has('input_count_absent') ? {} : { prompt_eval_count: input }),
    prompt_eval_duration: input * NANOSECONDS_PER_TOKEN,
    eval_count: output,
    eval_duration: output * NANOSECONDS_PER_TOKEN,
  }
}

function answer(call: Call, text: string, more: JsonObject): JsonObject {
  const head = { model: call.model, created_at: new Date(call.nowSeconds * 1000).toISOString() }
  if (call.target.includes('/generate')) return { ...head, response: text, ...more }
  return { ...head, message: { role: 'assistant', content: text, ...more } }
}

function toolCall(part: ToolPart): JsonObject {
  return { id: `call_${part.id}`, function: { name: part.name, arguments: JSON.parse(partText(part)) } }
}

function lines(call: Call, choice: Choice | undefined, end: JsonObject) {
  const failed = jsonLine({ error: MID_STREAM_ERROR.message })
  return {
    kind: 'stream' as const,
    steps: choice === undefined ? [''][Symbol.iterator]() : lineSteps(call, choice, end),
    tokens: choice?.outputTokens ?? 0,
    contentType: 'application/x-ndjson',
    errorEvent: failed,
    failedEvent: failed,
    brokenEvent: '{"broken":\n',
  }
}

function* lineSteps(call: Call, choice: Choice, end: JsonObject): Generator<string> {
  yield ''
  for (let i = 0; i < choice.reasoningTokens; i++)
    yield jsonLine({ ...answer(call, '', { thinking: 'hm ' }), done: false })
  for (const part of choice.parts)
    if (part.type === 'text')
      for (const token of part.tokens) yield jsonLine({ ...answer(call, token, {}), done: false })
    else yield* toolSteps(call, part)
  if (!call.controls.faults.has('no_terminal')) yield jsonLine({ ...answer(call, '', {}), ...end })
}

/** A tool is called whole, in the last of the steps that its tokens take. */
function* toolSteps(call: Call, part: ToolPart): Generator<string> {
  for (let i = 1; i < part.tokens.length; i++) yield ''
  yield jsonLine({ ...answer(call, '', { tool_calls: [toolCall(part)] }), done: false })
}

/** `POST /api/embed`; `/api/embeddings` before it states no count. */
export function ollamaEmbed(call: Call): Reply {
  const { body } = call
  const older = call.target.includes('/embeddings')
  const input = older ? body['prompt'] : body['input']
  const inputs = Array.isArray(input) ? input : [input ?? '']
  const random = createRandom(call.seed)
  const embeddings = inputs.map(() => Array.from({ length: DIMENSIONS }, () => random.below(2000) / 1000 - 1))
  if (older) return jsonReply({ embedding: embeddings[0] })
  const counts = call.controls.faults.has('no_usage')
    ? {}
    : { prompt_eval_count: splitInput(call, countInput(inputs)).total }
  return jsonReply({ model: call.model, embeddings, total_duration: NANOSECONDS_PER_TOKEN, ...counts })
}

/** `GET /api/tags`, `GET /api/ps`, `GET /api/version`, `POST /api/show`. */
export function ollamaModels(call: Call): Reply {
  if (call.target.includes('/version')) return jsonReply({ version: '0.31.0' })
  if (call.target.includes('/show')) return jsonReply({ details: { family: 'llama' }, capabilities: ['completion'] })
  return jsonReply({
    models: [{ name: 'llama3:latest', model: 'llama3:latest', size: 1, details: { family: 'llama' } }],
  })
}

/** The last user text, which may carry controls. */
export function ollamaPrompt(body: JsonObject): string {
  const last = lastMessage(body['messages'])
  if (last !== undefined) return last['role'] === 'user' ? contentText(last['content']) : ''
  const text = body['prompt'] ?? (Array.isArray(body['input']) ? body['input'][0] : body['input'])
  return typeof text === 'string' ? text : ''
}
