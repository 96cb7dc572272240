import { messages } from './anthropic-messages.ts'
import { brokenStep, chunkStep, EVENT_STREAM, exceptionStep } from './bedrock-frames.ts'
import { type Counts, type Finish, type Words, wordsOf } from './bedrock-words.ts'
import { type Call, isObject, type JsonObject, type JsonReply, type Reply, type StreamReply } from './call.ts'
import { countInput } from './count-input.ts'
import { type Choice, choiceText, generateChoices, type SplitInput, splitInput } from './generate-answer.ts'
import { idTail } from './random.ts'

const METRICS = 'amazon-bedrock-invocationMetrics'

/** `POST …/model/MODEL/invoke` and `/invoke-with-response-stream`, in the words of the model's maker. */
export function invoke(call: Call, stream: boolean): Reply {
  if (call.model.includes('embed')) return embedding(call)
  if (/stability\.|canvas|titan-image/.test(call.model)) return image(call)
  return call.model.includes('anthropic.') ? anthropic(call, stream) : maker(call, wordsOf(call.model), stream)
}

function maker(call: Call, words: Words, stream: boolean): Reply {
  const wish = {
    stream,
    limit: words.limit(call.body),
    reasoning: false,
    tools: [],
    useTools: false,
    schema: undefined,
  }
  const choice = generateChoices(call, wish, 1)[0] as Choice
  const input = splitInput(call, countInput(call.body))
  const counts = { input: input.rest, output: choice.outputTokens }
  const finish = choice.finish === 'length' ? 'length' : 'stop'
  const silent = call.controls.faults.has('no_usage') || call.controls.faults.has('usage_in_headers')
  const stated = silent ? undefined : counts
  if (stream) return chunks(call, makerSteps(call, words, choice, finish, stated, input), choice.outputTokens)
  const text = choiceText(choice)
  return whole(call, words.whole(text, finish, stated), choice.outputTokens, text, input)
}

function* makerSteps(
  call: Call,
  words: Words,
  choice: Choice,
  finish: Finish,
  counts: Counts | undefined,
  input: SplitInput,
): Generator<string> {
  yield words.first ? chunkStep(words.first) : ''
  let produced = 0
  for (const part of choice.parts)
    for (const token of part.tokens) yield chunkStep(words.chunk(token, ++produced, counts))
  if (call.controls.faults.has('no_terminal')) return
  const last = words.last(finish, counts)
  const metrics = metricsOf(call, input, choice.outputTokens)
  yield last.map((chunk, i) => chunkStep(i === last.length - 1 ? { ...chunk, ...metrics } : chunk)).join('')
}

/** The Messages API's own answer, its events put into frames and metrics beside the last one. */
function anthropic(call: Call, stream: boolean): Reply {
  const { model: _model, ...body } = call.body
  const reply = messages({ ...call, body: { ...body, stream } })
  const input = splitInput(call, countInput(body['system']) + countInput(body['messages']) + countInput(body['tools']))
  if (reply.kind === 'stream') return chunks(call, anthropicSteps(call, reply, input), reply.tokens)
  const value = JSON.parse(String(reply.body)) as JsonObject
  const { usage: _usage, ...unstated } = value
  const shown = call.controls.faults.has('usage_in_headers') ? unstated : value
  return whole(call, { ...shown, id: bedrockId(call) }, reply.tokens, reply.text, input)
}

function bedrockId(call: Call): string {
  return `msg_bdrk_01${idTail(call.idSeed, 22)}`
}

function* anthropicSteps(call: Call, reply: StreamReply, input: SplitInput): Generator<string> {
  for (let step = reply.steps.next(); !step.done; step = reply.steps.next()) {
    let frames = ''
    for (const event of step.value.split('\n\n')) {
      const data = event.slice(event.indexOf('data: ') + 6)
      if (event === '' || data.includes('"type":"ping"')) continue
      const value = JSON.parse(data) as JsonObject
      const last = value['type'] === 'message_stop'
      frames += chunkStep(last ? { ...value, ...metricsOf(call, input, reply.tokens) } : value)
    }
    yield frames
  }
}

function chunks(call: Call, steps: Iterator<string>, tokens: number): StreamReply {
  return {
    kind: 'stream',
    contentType: EVENT_STREAM,
    binary: true,
    headers: { 'x-amzn-bedrock-content-type': 'application/json', ...tierHeader(call) },
    steps,
    tokens,
    errorEvent: exceptionStep('modelStreamErrorException', 'The model broke off its answer.'),
    failedEvent: exceptionStep('throttlingException', 'Too many tokens, please wait before trying again.'),
    brokenEvent: brokenStep('chunk'),
  }
}

function metricsOf(call: Call, input: SplitInput, outputTokens: number): JsonObject {
  const { faults } = call.controls
  if (faults.has('no_usage')) return {}
  const metrics = {
    inputTokenCount: input.rest,
    // Seen with tools: the metrics count fewer tokens than the message.
    outputTokenCount: faults.has('metrics_differ') ? Math.max(0, outputTokens - 16) : outputTokens,
    invocationLatency: call.controls.latencyMs + 1,
    firstByteLatency: call.controls.latencyMs + 1,
    ...(input.cached > 0 ? { cacheReadInputTokenCount: input.cached } : {}),
    ...(input.written + input.writtenHour > 0 ? { cacheWriteInputTokenCount: input.written + input.writtenHour } : {}),
  }
  return { [METRICS]: metrics }
}

function whole(call: Call, value: JsonObject, tokens: number, text: string, input: SplitInput): JsonReply {
  const headers = call.controls.faults.has('no_usage') ? {} : countHeaders(input, tokens)
  return {
    kind: 'json',
    status: 200,
    body: JSON.stringify(value),
    tokens,
    text,
    headers: { ...headers, ...tierHeader(call) },
  }
}

function countHeaders(input: SplitInput, outputTokens: number | undefined): Record<string, string> {
  const name = (part: string): string => `x-amzn-bedrock-${part}-token-count`
  const written = input.written + input.writtenHour
  return {
    [name('input')]: String(input.rest),
    ...(outputTokens === undefined ? {} : { [name('output')]: String(outputTokens) }),
    ...(input.cached + written > 0
      ? { [name('cache-read-input')]: String(input.cached), [name('cache-write-input')]: String(written) }
      : {}),
    'x-amzn-bedrock-invocation-latency': '1',
  }
}

function tierHeader(call: Call): Record<string, string> {
  const tier = call.headers['x-amzn-bedrock-service-tier']
  return typeof tier === 'string' ? { 'x-amzn-bedrock-service-tier': tier } : {}
}

function embedding(call: Call): JsonReply {
  const input = splitInput(call, countInput(call.body))
  const value = call.model.includes('titan')
    ? { embedding: [0.25, -0.5, 0.125], inputTextTokenCount: input.rest }
    : { embeddings: { float: [[0.25, -0.5, 0.125]] } }
  const reply = whole(call, value, 0, '', input)
  return { ...reply, headers: call.controls.faults.has('no_usage') ? {} : countHeaders(input, undefined) }
}

/** Nothing is counted anywhere: images are billed by the piece. */
function image(call: Call): JsonReply {
  const config = call.body['imageGenerationConfig']
  const count = isObject(config) && typeof config['numberOfImages'] === 'number' ? config['numberOfImages'] : 1
  const images = Array.from({ length: count }, () => Buffer.alloc(call.controls.bytes ?? 3000).toString('base64'))
  const value = call.model.includes('stability.')
    ? { seeds: images.map((_, i) => i), finish_reasons: images.map(() => null), images }
    : { images }
  return { kind: 'json', status: 200, body: JSON.stringify(value), tokens: 0, text: '' }
}
