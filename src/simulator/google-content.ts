import { type Call, isObject, type JsonObject, type JsonReply, jsonReply, type Reply } from './call.ts'
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
  type Wish,
} from './generate-answer.ts'
import { asksForArray, either, eitherObject, googleError } from './google-words.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

const IMAGE_TOKENS = 1290
const AUDIO_TOKENS = 111
const JSON_TYPE = 'application/json; charset=UTF-8'

/** `POST …:generateContent` and `…:streamGenerateContent`. Throws ProviderError for what the real one refuses. */
export function generateContent(call: Call): Reply {
  if (!Array.isArray(call.body['contents']))
    throw new ProviderError(400, '* GenerateContentRequest.contents: contents is not specified')
  const stream = call.target.includes(':streamGenerateContent')
  const config = eitherObject(call.body, 'generationConfig')
  const answer = blocked(call) ? [] : generateChoices(call, wishOf(call, config, stream), candidateCount(config))
  const cached = cachedTokens(call)
  const input = splitInput(call, countContents(call.body) + cached, cached)
  return stream ? contentStream(call, answer, input) : contentJson(call, answer, input, config)
}

/** What a cache that the call names holds: a part of its input. Throws ProviderError where there is none. */
function cachedTokens(call: Call): number {
  const name = either(call.body, 'cachedContent')
  if (typeof name !== 'string') return 0
  const found = call.stored.get(name.slice(name.indexOf('cachedContents/')))
  if (found === undefined) throw new ProviderError(403, 'CachedContent not found (or permission denied)')
  return found.tokens
}

/** `POST …:countTokens`. */
export function countTokens(call: Call): JsonReply {
  const request = eitherObject(call.body, 'generateContentRequest')
  const body = Array.isArray(request['contents']) ? request : call.body
  const totalTokens = call.controls.input ?? countContents(body)
  return jsonReply({ totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] })
}

export function countContents(body: JsonObject): number {
  return countInput(either(body, 'systemInstruction')) + countInput(body['contents']) + countInput(body['tools'])
}

function blocked(call: Call): boolean {
  return call.controls.faults.has('blocked')
}

function candidateCount(config: JsonObject): number {
  const count = either(config, 'candidateCount') ?? 1
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 8) return count
  throw new ProviderError(400, 'The candidate count must be from 1 to 8.')
}

function wishOf(call: Call, config: JsonObject, stream: boolean): Wish {
  const thinking = eitherObject(config, 'thinkingConfig')
  const budget = either(thinking, 'thinkingBudget')
  const tools = toolsOf(call.body['tools'])
  const schema = either(config, 'responseSchema') ?? either(config, 'responseJsonSchema')
  return {
    stream,
    limit: limitOf(config),
    reasoning: budget !== undefined ? budget !== 0 : either(thinking, 'thinkingLevel') !== undefined,
    tools,
    useTools: !answersTool(call.body),
    schema: schema === undefined ? undefined : lowerTypes(schemaOr(schema)),
  }
}

function limitOf(config: JsonObject): number | undefined {
  const limit = either(config, 'maxOutputTokens')
  if (limit === undefined || limit === null) return undefined
  if (typeof limit === 'number' && Number.isInteger(limit) && limit > 0) return limit
  throw new ProviderError(400, 'max_output_tokens must be positive.')
}

function toolsOf(tools: unknown): Tool[] {
  if (!Array.isArray(tools)) return []
  return tools.flatMap((tool) => {
    const declared = isObject(tool) ? either(tool, 'functionDeclarations') : undefined
    if (!Array.isArray(declared)) return []
    return declared.filter(isObject).map((one) => ({
      name: String(one['name']),
      schema: lowerTypes(schemaOr(one['parameters'] ?? either(one, 'parametersJsonSchema'))),
    }))
  })
}

function answersTool(body: JsonObject): boolean {
  const contents = body['contents']
  const last: unknown = Array.isArray(contents) ? contents.at(-1) : undefined
  const parts = isObject(last) && Array.isArray(last['parts']) ? last['parts'] : []
  return parts.some((part) => isObject(part) && either(part, 'functionResponse') !== undefined)
}

/** Google writes `OBJECT` where JSON Schema has `object`. */
function lowerTypes(schema: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === 'type' && typeof value === 'string' ? value.toLowerCase() : value,
  ) as JsonObject
}

const FINISH = { stop: 'STOP', length: 'MAX_TOKENS', tools: 'STOP' } as const

/** Marks of the answer that each of its chunks has. */
function head(call: Call): JsonObject {
  return { modelVersion: call.model, responseId: idTail(call.idSeed, 22) }
}

interface Produced {
  readonly answer: number
  readonly thoughts: number
  readonly media?: { readonly modality: 'IMAGE' | 'AUDIO'; readonly tokens: number }
}

/** `usageMetadata`, with the oddities that were asked for. `last`: of the last chunk, or of a whole answer. */
function usageOf(call: Call, input: SplitInput, produced: Produced, last: boolean): JsonObject {
  const { faults } = call.controls
  if (faults.has('no_usage')) return {}
  const more = faults.has('usage_shrinks') && !last ? 60 : 0
  const prompt = input.total + more
  const answer = produced.answer + more
  const hidesAnswer = faults.has('output_count_absent') || (faults.has('usage_late') && !last)
  const usageMetadata = {
    ...(faults.has('input_count_absent') ? {} : { promptTokenCount: prompt }),
    ...(hidesAnswer ? {} : { candidatesTokenCount: answer }),
    totalTokenCount: prompt + (hidesAnswer ? 0 : answer) + produced.thoughts + (faults.has('total_off') ? -1 : 0),
    ...(input.cached > 0 ? { cachedContentTokenCount: input.cached } : {}),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt }],
    ...(produced.media
      ? { candidatesTokensDetails: [{ modality: produced.media.modality, tokenCount: produced.media.tokens }] }
      : {}),
    ...(input.written > 0 ? { toolUsePromptTokenCount: input.written } : {}),
    ...(produced.thoughts > 0 ? { thoughtsTokenCount: produced.thoughts } : {}),
    ...(isVertex(call) ? { trafficType: 'ON_DEMAND' } : { serviceTier: 'standard' }),
  }
  return { usageMetadata }
}

function isVertex(call: Call): boolean {
  return call.target.includes('/publishers/')
}

function contentJson(call: Call, choices: readonly Choice[], input: SplitInput, config: JsonObject): JsonReply {
  const { faults } = call.controls
  if (faults.has('error_mid') || faults.has('error_bare')) return jsonReply(googleError(MID_STREAM_ERROR))
  const { output, reasoning } = sumOutput(choices)
  const media = mediaPart(config)
  const produced = media
    ? { answer: media.tokens, thoughts: reasoning, media }
    : { answer: output - reasoning, thoughts: reasoning }
  const value = {
    ...(choices.length === 0 ? { promptFeedback: { blockReason: 'SAFETY' } } : {}),
    ...(choices.length === 0
      ? {}
      : { candidates: choices.map((choice, index) => candidate(call, choice, index, media?.part)) }),
    ...usageOf(call, input, produced, true),
    ...head(call),
  }
  return { ...jsonReply(value, output, choices[0] && choiceText(choices[0])), contentType: JSON_TYPE }
}

/** A picture or speech, where that was asked for instead of text. */
function mediaPart(config: JsonObject): { modality: 'IMAGE' | 'AUDIO'; tokens: number; part: JsonObject } | undefined {
  const wanted = JSON.stringify(either(config, 'responseModalities') ?? '').toUpperCase()
  const of = (mimeType: string) => ({ inlineData: { mimeType, data: 'AAAA'.repeat(300) } })
  if (wanted.includes('IMAGE')) return { modality: 'IMAGE', tokens: IMAGE_TOKENS, part: of('image/png') }
  return wanted.includes('AUDIO')
    ? { modality: 'AUDIO', tokens: AUDIO_TOKENS, part: of('audio/L16;codec=pcm;rate=24000') }
    : undefined
}

function candidate(call: Call, choice: Choice, index: number, media: JsonObject | undefined): JsonObject {
  return {
    content: { parts: media ? [media] : choice.parts.map(contentPart), role: 'model' },
    finishReason: FINISH[choice.finish],
    index,
    ...grounding(call),
  }
}

/** Where a search was offered: `searches=N` distinct queries, one by default. */
function grounding(call: Call): JsonObject {
  const searches = call.controls.searches ?? 1
  const { tools } = call.body
  const offered =
    Array.isArray(tools) && tools.some((tool) => isObject(tool) && either(tool, 'googleSearch') !== undefined)
  if (!offered || searches === 0) return {}
  return {
    groundingMetadata: {
      webSearchQueries: Array.from({ length: searches }, (_, i) => `query ${i}`),
      groundingChunks: [{ web: { uri: 'https://example.com', title: 'example.com' } }],
    },
  }
}

function contentPart(part: Part): JsonObject {
  return part.type === 'text' ? { text: partText(part) } : callPart(part, partText(part))
}

/** Arguments that the limit cut short are no JSON: nothing of them comes. */
function callPart(part: Part & { readonly type: 'tool' }, text: string): JsonObject {
  let args: unknown = {}
  try {
    args = JSON.parse(text)
  } catch {
    args = {}
  }
  return { functionCall: { name: part.name, args, id: part.id.slice(0, 8) } }
}

function contentStream(call: Call, choices: readonly Choice[], input: SplitInput): Reply {
  const array = asksForArray(call.target)
  const error = JSON.stringify(googleError(MID_STREAM_ERROR), null, 2)
  // The real one leaves the `data:` out where an error meets a stream that has begun.
  const event = array
    ? `,\r\n${error}]`
    : call.controls.faults.has('error_bare')
      ? `${error}\n`
      : sse(error.replaceAll('\n', ''))
  return {
    kind: 'stream',
    steps: framed(stepsOf(call, choices, input), array, call.controls.faults.has('no_terminal')),
    tokens: sumOutput(choices).output,
    errorEvent: event,
    failedEvent: event,
    contentType: array ? JSON_TYPE : 'text/event-stream',
    brokenEvent: array ? ',\r\n{"broken":' : 'data: {"broken":\r\n\r\n',
  }
}

const sse = (json: string): string => `data: ${json}\r\n\r\n`

/** What one step shows: chunks, none for a token that is not shown. */
interface Step {
  readonly chunks: readonly string[]
  readonly last?: boolean
}

/** Chunks as events, or as elements of one array. */
function* framed(steps: Iterable<Step>, array: boolean, open: boolean): Generator<string> {
  let before = '['
  for (const { chunks, last } of steps) {
    let text = ''
    for (const chunk of chunks) {
      text += array ? before + chunk : sse(chunk)
      before = ',\r\n'
    }
    yield array && last && !open ? `${text}]` : text
  }
}

/** A first step that shows nothing, one for each token, and the last word. */
function* stepsOf(call: Call, choices: readonly Choice[], input: SplitInput): Generator<Step> {
  const produced = { answer: 0, thoughts: 0 }
  const chunk = (candidates: readonly JsonObject[], last = false): string =>
    JSON.stringify({ candidates, ...usageOf(call, input, produced, last), ...head(call) })
  yield { chunks: [] }
  let ends: string[] = []
  for (const [index, choice] of choices.entries()) {
    for (let i = 0; i < choice.reasoningTokens; i++) {
      produced.thoughts++
      yield { chunks: [] }
    }
    for (const part of choice.parts) {
      const whole = part.type === 'tool' ? callPart(part, partText(part)) : undefined
      let left = part.type === 'tool' ? part.tokens.length : 0
      for (const token of part.tokens) {
        produced.answer++
        left--
        const shows = whole === undefined ? { text: token } : left === 0 ? whole : undefined
        yield { chunks: shows ? [...ends, chunk([shown(shows, index)])] : [] }
        if (shows) ends = []
      }
    }
    const end = { ...shown({ text: '' }, index), finishReason: FINISH[choice.finish], ...grounding(call) }
    ends.push(chunk([end], index === choices.length - 1))
  }
  if (choices.length === 0)
    ends.push(
      JSON.stringify({
        promptFeedback: { blockReason: 'SAFETY' },
        ...usageOf(call, input, produced, true),
        ...head(call),
      }),
    )
  yield { chunks: hasNoEnd(call) ? [] : ends, last: true }
}

/** Of an array the bracket alone is left out. */
function hasNoEnd(call: Call): boolean {
  return call.controls.faults.has('no_terminal') && !asksForArray(call.target)
}

function shown(part: JsonObject, index: number): JsonObject {
  return { content: { parts: [part], role: 'model' }, index }
}
