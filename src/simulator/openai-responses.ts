import {
  type Call,
  contentText,
  isObject,
  type JsonObject,
  type JsonReply,
  jsonReply,
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
  type Tool,
  type Wish,
} from './generate-answer.ts'
import { JobProgress } from './job-progress.ts'
import { serviceTier } from './openai-chat.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST …/responses`. Kept unless `store: false`. Throws ProviderError for what the real one refuses. */
export function responses(call: Call): Reply {
  const { body } = call
  const stream = body['stream'] === true
  if (body['input'] === undefined && body['previous_response_id'] === undefined) {
    throw new ProviderError(400, "Missing required parameter: 'input'.", 'missing_required_parameter', 'input')
  }
  const choice = generateChoices(call, responseWish(body, stream), 1)[0] as Choice
  const input = splitInput(call, countResponseInput(call))
  const answer = new ResponseAnswer(call, choice, input)
  if (body['background'] === true && body['store'] === false)
    throw new ProviderError(400, 'Background mode requires store to be true.', null, 'background')
  if (stream) return responseStream(answer)
  if (body['background'] === true) {
    answer.keep(answer.outcome())
    return jsonReply(answer.queued())
  }
  const whole = answer.whole()
  answer.keep(whole)
  return jsonReply(whole, choice.outputTokens, choiceText(choice))
}

function countResponseInput(call: Call): number {
  const { body } = call
  const own = countInput(body['instructions']) + countInput(body['input']) + countInput(body['tools']) + 3
  const previous = body['previous_response_id']
  if (typeof previous !== 'string') return own
  const stored = call.stored.get(previous)
  if (stored !== undefined) return own + stored.tokens
  const message = `Previous response with id '${previous}' not found.`
  throw new ProviderError(400, message, 'previous_response_not_found', 'previous_response_id')
}

function responseWish(body: JsonObject, stream: boolean): Wish {
  const reasoning = isObject(body['reasoning']) ? body['reasoning']['effort'] : undefined
  return {
    stream,
    limit: positiveInteger(body, 'max_output_tokens'),
    reasoning: typeof reasoning === 'string' && reasoning !== 'none' && reasoning !== 'minimal',
    tools: responseTools(body['tools']),
    useTools: waitsForTool(body['input']) && body['tool_choice'] !== 'none',
    schema: responseSchema(body['text']),
  }
}

function responseTools(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  const functions = tools.filter((tool) => isObject(tool) && tool['type'] === 'function')
  return functions.map((tool) => ({ name: String(tool['name']), schema: schemaOr(tool['parameters']) }))
}

function waitsForTool(input: unknown): boolean {
  const last: unknown = Array.isArray(input) ? input.at(-1) : input
  return !(isObject(last) && last['type'] === 'function_call_output')
}

function responseSchema(text: unknown): JsonObject | undefined {
  const format = isObject(text) ? text['format'] : undefined
  if (!isObject(format)) return undefined
  if (format['type'] === 'json_object') return { properties: { answer: { type: 'string' } } }
  return format['type'] === 'json_schema' ? schemaOr(format['schema']) : undefined
}

/** The last user text of a call's input, which may carry controls. */
export function responseUserText(body: JsonObject): string {
  const { input } = body
  if (typeof input === 'string') return input
  const last: unknown = Array.isArray(input) ? input.at(-1) : undefined
  return isObject(last) && last['role'] === 'user' ? contentText(last['content']) : ''
}

/** One response and its objects, in the states that they pass through. */
class ResponseAnswer {
  readonly call: Call
  readonly choice: Choice
  readonly id: string
  readonly #input: SplitInput

  constructor(call: Call, choice: Choice, input: SplitInput) {
    this.call = call
    this.choice = choice
    this.#input = input
    this.id = `resp_${idTail(call.idSeed, 50)}`
  }

  /** As it is when it has begun. */
  started(): JsonObject {
    return this.#object('in_progress', [], null)
  }

  /** As it is at its end. */
  whole(): JsonObject {
    const usage = this.call.controls.faults.has('no_usage') ? null : this.#usage()
    return this.#object(this.choice.finish === 'length' ? 'incomplete' : 'completed', this.items(), usage)
  }

  /** In the background: before it has begun. */
  queued(): JsonObject {
    return this.#object('queued', [], null)
  }

  /** In the background: at its end, whatever that is to be. */
  outcome(): JsonObject {
    const { outcome } = this.call.controls
    if (outcome === undefined) return this.whole()
    if (outcome === 'failed') return this.failed()
    return this.#object(outcome, [], null)
  }

  failed(): JsonObject {
    return {
      ...this.#object('failed', [], this.#usage()),
      error: { code: 'server_error', message: MID_STREAM_ERROR.message },
    }
  }

  keep(whole: JsonObject): void {
    if (this.call.body['store'] === false) return
    const tokens = this.#input.total + this.choice.outputTokens
    const job =
      this.call.body['background'] === true
        ? { job: { progress: new JobProgress(this.call.controls), begun: this.started() } }
        : {}
    this.call.stored.keep(this.id, { response: whole, tokens, ...job })
  }

  items(): JsonObject[] {
    const reasoning = this.choice.reasoningTokens > 0 ? [this.reasoningItem()] : []
    return [...reasoning, ...this.choice.parts.map((part, index) => this.item(part, index, this.#itemStatus()))]
  }

  reasoningItem(): JsonObject {
    return { id: this.itemId('rs', -1), type: 'reasoning', summary: [] }
  }

  item(part: Part, index: number, status: string): JsonObject {
    if (part.type === 'tool') {
      const names = { call_id: `call_${part.id}`, name: part.name }
      const text = status === 'in_progress' ? '' : partText(part)
      return { id: this.itemId('fc', index), type: 'function_call', status, arguments: text, ...names }
    }
    const content = status === 'in_progress' ? [] : [textPart(partText(part))]
    return { id: this.itemId('msg', index), type: 'message', status, content, role: 'assistant' }
  }

  itemId(prefix: string, index: number): string {
    return `${prefix}_${idTail(this.call.idSeed + 101 * (index + 2), 50)}`
  }

  #itemStatus(): string {
    return this.choice.finish === 'length' ? 'incomplete' : 'completed'
  }

  #object(status: string, output: readonly JsonObject[], usage: JsonObject | null): JsonObject {
    const { body, model, nowSeconds } = this.call
    return {
      id: this.id,
      object: 'response',
      created_at: nowSeconds,
      status,
      background: body['background'] === true,
      completed_at: status === 'completed' ? nowSeconds : null,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: body['instructions'] ?? null,
      max_output_tokens: body['max_output_tokens'] ?? null,
      max_tool_calls: null,
      model,
      output,
      parallel_tool_calls: true,
      previous_response_id: body['previous_response_id'] ?? null,
      prompt_cache_key: null,
      reasoning: { effort: null, summary: null, ...(isObject(body['reasoning']) ? body['reasoning'] : {}) },
      service_tier: serviceTier(body),
      store: body['store'] !== false,
      temperature: 1,
      text: isObject(body['text']) ? body['text'] : { format: { type: 'text' }, verbosity: 'medium' },
      tool_choice: body['tool_choice'] ?? 'auto',
      tools: Array.isArray(body['tools']) ? body['tools'] : [],
      top_logprobs: 0,
      top_p: 1,
      truncation: 'disabled',
      usage,
      user: null,
      metadata: isObject(body['metadata']) ? body['metadata'] : {},
    }
  }

  /** Cached tokens are inside `input_tokens`, reasoning inside `output_tokens`. */
  #usage(): JsonObject {
    const { outputTokens, reasoningTokens } = this.choice
    return {
      input_tokens: this.#input.total,
      input_tokens_details: { cached_tokens: this.#input.cached },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: reasoningTokens },
      total_tokens: this.#input.total + outputTokens,
    }
  }
}

function textPart(text: string): JsonObject {
  return { type: 'output_text', annotations: [], logprobs: [], text }
}

function responseStream(answer: ResponseAnswer): Reply {
  const { message, code } = MID_STREAM_ERROR
  // Far above any number that the stream can have reached: clients want it to grow, not to be dense.
  const sequence_number = 1_000_000_000
  const error = { type: 'error', code, message, param: null, sequence_number }
  const failed = { type: 'response.failed', sequence_number, response: answer.failed() }
  return {
    kind: 'stream',
    steps: responseSteps(answer),
    tokens: answer.choice.outputTokens,
    errorEvent: `event: error\ndata: ${JSON.stringify(error)}\n\n`,
    failedEvent: `event: response.failed\ndata: ${JSON.stringify(failed)}\n\n`,
  }
}

function* responseSteps(answer: ResponseAnswer): Generator<string> {
  const { choice, call } = answer
  const write = eventWriter()
  const started = answer.started()
  // In the background it is there from the start, and goes on whoever listens.
  if (call.body['background'] === true) answer.keep(answer.outcome())
  yield write('response.created', { response: started }) + write('response.in_progress', { response: started })
  let closing = ''
  let index = 0
  if (choice.reasoningTokens > 0) {
    const item = answer.reasoningItem()
    closing = write('response.output_item.added', { output_index: 0, item })
    for (let i = 0; i < choice.reasoningTokens; i++) {
      yield closing
      closing = ''
    }
    closing = write('response.output_item.done', { output_index: index++, item })
  }
  for (const [position, part] of choice.parts.entries()) {
    const steps = itemSteps({ answer, write, part, position, index: index++ }, closing)
    closing = yield* steps
  }
  if (call.controls.faults.has('no_terminal')) {
    yield closing
    return
  }
  const whole = answer.whole()
  if (call.body['background'] !== true) answer.keep(whole)
  const name = whole['status'] === 'incomplete' ? 'response.incomplete' : 'response.completed'
  yield closing + write(name, { response: whole })
}

interface ItemStream {
  readonly answer: ResponseAnswer
  readonly write: EventWriter
  readonly part: Part
  /** Among the parts of the choice. */
  readonly position: number
  /** Among the items of the response. */
  readonly index: number
}

/** Yields a step for each token and returns the events that close the item. */
function* itemSteps(stream: ItemStream, before: string): Generator<string, string> {
  const { answer, write, part, position, index } = stream
  const item = answer.item(part, position, 'in_progress')
  const place = { item_id: item['id'], output_index: index }
  let opening = before + write('response.output_item.added', { output_index: index, item })
  if (part.type === 'text')
    opening += write('response.content_part.added', { ...place, content_index: 0, part: textPart('') })
  const name = part.type === 'text' ? 'response.output_text.delta' : 'response.function_call_arguments.delta'
  const delta = write.delta(name, part.type === 'text' ? { ...place, content_index: 0, logprobs: [] } : place)
  for (const token of part.tokens) {
    yield opening + delta(token)
    opening = ''
  }
  const status = answer.choice.finish === 'length' ? 'incomplete' : 'completed'
  const parts = opening + partDone(part, place, write)
  return parts + write('response.output_item.done', { output_index: index, item: answer.item(part, position, status) })
}

function partDone(part: Part, place: JsonObject, write: EventWriter): string {
  const text = partText(part)
  if (part.type === 'tool') return write('response.function_call_arguments.done', { ...place, arguments: text })
  const at = { ...place, content_index: 0 }
  const done = write('response.output_text.done', { ...at, text, logprobs: [] })
  return done + write('response.content_part.done', { ...at, part: textPart(text) })
}

interface EventWriter {
  (name: string, data: JsonObject): string
  /** A writer of one kind of delta, whose fixed members are put into text once. */
  delta(name: string, fixed: JsonObject): (token: string) => string
}

function eventWriter(): EventWriter {
  let sequence = 0
  const write = (name: string, data: JsonObject) => {
    const numbered = { type: name, sequence_number: sequence++, ...data }
    return `event: ${name}\ndata: ${JSON.stringify(numbered)}\n\n`
  }
  const delta = (name: string, fixed: JsonObject) => {
    const members = JSON.stringify(fixed).slice(1)
    const head = `event: ${name}\ndata: {"type":"${name}","sequence_number":`
    return (token: string) => `${head}${sequence++},"delta":${JSON.stringify(token)},${members}\n\n`
  }
  return Object.assign(write, { delta })
}

/** `GET …/responses/:id`. */
export function getResponse(call: Call, id: string): JsonReply {
  return jsonReply(stored(call, id, true))
}

/** `POST …/responses/:id/cancel`. */
export function cancelResponse(call: Call, id: string): JsonReply {
  const found = call.stored.get(id)
  if (found?.job === undefined) throw new ProviderError(400, 'Cannot cancel a synchronous response.', null, 'id')
  if (found.job.progress.done) return jsonReply(found.response)
  const cancelled = { ...found.response, status: 'cancelled', output: [], usage: null, completed_at: null }
  call.stored.keep(id, { response: cancelled, tokens: 0 })
  return jsonReply(cancelled)
}

/** `GET …/responses/:id/input_items`. */
export function listInputItems(call: Call, id: string): JsonReply {
  stored(call, id)
  return jsonReply({ object: 'list', data: [], first_id: null, last_id: null, has_more: false })
}

/** `DELETE …/responses/:id`. */
export function deleteResponse(call: Call, id: string): JsonReply {
  stored(call, id)
  call.stored.delete(id)
  return jsonReply({ id, object: 'response', deleted: true })
}

function stored(call: Call, id: string, look = false): JsonObject {
  const found = call.stored.get(id)
  if (found === undefined) throw new ProviderError(404, `Response with id '${id}' not found.`, null, 'id')
  const under = found.job !== undefined && !(look ? found.job.progress.look() : found.job.progress.done)
  return under ? found.job.begun : found.response
}
