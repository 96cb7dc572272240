/** The words of the makers whose models `invoke` reaches: how a body asks, and how its answer looks whole and in chunks. */
import { objectAt } from './bedrock-converse.ts'
import { contentText, isObject, type JsonObject, lastMessage, positiveInteger } from './call.ts'

export interface Counts {
  readonly input: number
  readonly output: number
}

export interface Words {
  limit(body: JsonObject): number | undefined
  prompt(body: JsonObject): string
  /** `counts` undefined: the body says nothing of them. */
  whole(text: string, finish: Finish, counts: Counts | undefined): JsonObject
  chunk(token: string, produced: number, counts: Counts | undefined): JsonObject
  /** Chunks before the first token, where there are any. */
  readonly first?: JsonObject
  /** Chunks behind the last one, without Bedrock's metrics. */
  last(finish: Finish, counts: Counts | undefined): readonly JsonObject[]
}

export type Finish = 'stop' | 'length'

const textAt = (body: JsonObject, name: string): string =>
  typeof body[name] === 'string' ? (body[name] as string) : ''

const LLAMA: Words = {
  limit: (body) => positiveInteger(body, 'max_gen_len') ?? 512,
  prompt: (body) => textAt(body, 'prompt'),
  whole: (generation, stop_reason, counts) => ({ generation, ...llamaCounts(counts, counts?.output), stop_reason }),
  chunk: (generation, produced, counts) => ({
    generation,
    ...llamaCounts(produced === 1 ? counts : counts && { ...counts, input: null }, produced),
    stop_reason: null,
  }),
  last: (stop_reason, counts) => [
    { generation: '', ...llamaCounts(counts && { ...counts, input: null }, counts?.output), stop_reason },
  ],
}

function llamaCounts(counts: { readonly input: number | null } | undefined, output: number | undefined): JsonObject {
  return counts ? { prompt_token_count: counts.input, generation_token_count: output } : {}
}

const TITAN: Words = {
  limit: (body) => positiveInteger(objectAt(body, 'textGenerationConfig'), 'maxTokenCount'),
  prompt: (body) => textAt(body, 'inputText'),
  whole: (outputText, finish, counts) => ({
    ...(counts ? { inputTextTokenCount: counts.input } : {}),
    results: [{ ...(counts ? { tokenCount: counts.output } : {}), outputText, completionReason: titanReason(finish) }],
  }),
  chunk: (outputText, produced, counts) => ({
    outputText,
    index: 0,
    ...(counts && produced === 1 ? { inputTextTokenCount: counts.input } : {}),
  }),
  last: (finish, counts) => [
    {
      outputText: '',
      index: 0,
      ...(counts ? { totalOutputTextTokenCount: counts.output } : {}),
      completionReason: titanReason(finish),
    },
  ],
}

function titanReason(finish: Finish): string {
  return finish === 'length' ? 'LENGTH' : 'FINISH'
}

const NOVA: Words = {
  limit: (body) => {
    const config = objectAt(body, 'inferenceConfig')
    return positiveInteger(config, 'maxTokens') ?? positiveInteger(config, 'max_new_tokens')
  },
  prompt: (body) => contentText(lastMessage(body['messages'])?.['content']),
  whole: (text, finish, counts) => ({
    output: { message: { role: 'assistant', content: [{ text }] } },
    stopReason: novaReason(finish),
    ...(counts ? { usage: novaUsage(counts) } : {}),
  }),
  chunk: (text) => ({ contentBlockDelta: { delta: { text }, contentBlockIndex: 0 } }),
  first: { messageStart: { role: 'assistant' } },
  last: (finish, counts) => [
    { contentBlockStop: { contentBlockIndex: 0 } },
    { messageStop: { stopReason: novaReason(finish) } },
    { metadata: { ...(counts ? { usage: novaUsage(counts) } : {}), metrics: {}, trace: {} } },
  ],
}

function novaReason(finish: Finish): string {
  return finish === 'length' ? 'max_tokens' : 'end_turn'
}

function novaUsage({ input, output }: Counts): JsonObject {
  return { inputTokens: input, outputTokens: output, totalTokens: input + output }
}

const MISTRAL: Words = {
  limit: (body) => positiveInteger(body, 'max_tokens'),
  prompt: (body) => textAt(body, 'prompt'),
  whole: (text, stop_reason) => ({ outputs: [{ text, stop_reason }] }),
  chunk: (text) => ({ outputs: [{ text, stop_reason: null }] }),
  last: (stop_reason) => [{ outputs: [{ text: '', stop_reason }] }],
}

/** No counts of its own at all: Bedrock's metrics and headers alone have them. */
const COHERE: Words = {
  limit: (body) => positiveInteger(body, 'max_tokens'),
  prompt: (body) => textAt(body, 'message'),
  whole: (text, finish) => ({ text, finish_reason: cohereReason(finish) }),
  chunk: (text) => ({ event_type: 'text-generation', text, is_finished: false }),
  last: (finish) => [{ event_type: 'stream-end', is_finished: true, finish_reason: cohereReason(finish) }],
}

function cohereReason(finish: Finish): string {
  return finish === 'length' ? 'MAX_TOKENS' : 'COMPLETE'
}

const CHAT: Words = {
  limit: (body) => positiveInteger(body, 'max_completion_tokens') ?? positiveInteger(body, 'max_tokens'),
  prompt: (body) => contentText(lastMessage(body['messages'])?.['content']) || textAt(body, 'prompt'),
  whole: (content, finish_reason, counts) => ({
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason }],
    ...(counts ? { usage: chatUsage(counts) } : {}),
  }),
  chunk: (content) => ({
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  }),
  last: (finish_reason, counts) => [
    {
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: {}, finish_reason }],
      ...(counts ? { usage: chatUsage(counts) } : {}),
    },
  ],
}

function chatUsage({ input, output }: Counts): JsonObject {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
}

const BY_MODEL: readonly (readonly [string, Words])[] = [
  ['meta.', LLAMA],
  ['amazon.titan', TITAN],
  ['amazon.nova', NOVA],
  ['mistral.mistral-7b', MISTRAL],
  ['mistral.mixtral', MISTRAL],
  ['cohere.command-r', COHERE],
]

export function wordsOf(model: string): Words {
  return BY_MODEL.find(([part]) => model.includes(part))?.[1] ?? CHAT
}

/** Of a body whose text stands in the usual places. */
export function anthropicPrompt(body: JsonObject): string {
  const messages: unknown[] = Array.isArray(body['messages']) ? body['messages'] : []
  const last = messages.findLast((message) => isObject(message) && message['role'] === 'user')
  return contentText(isObject(last) ? last['content'] : undefined)
}
