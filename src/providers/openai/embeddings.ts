/** POST …/embeddings: input only, JSON only. */
import { failedAnswer } from '../failed-answer.ts'
import { InputCounter } from '../input-counter.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asText, readFlag } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { readChatUsage } from './chat-usage.ts'
import { CompletionStream } from './completion-stream.ts'
import { openAIMedia } from './media-cost.ts'
import { type OpenAIParsed, readOpenAIBody } from './openai-call.ts'
import { exactTexts } from './own-model.ts'
import { readCallModel } from './path-model.ts'
import { answeredTier, askedTier } from './price-tier.ts'
import { addPrompts } from './prompts.ts'

/** First and last token of each input, and a prefix that some models put before it (query:, passage:). */
const INPUT_TOKENS = 8

export const embeddingsMetering: Metering = {
  readCall: readEmbeddingsCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (call): StreamReader => new CompletionStream(call, 'chat.completion.chunk'),
  jsonMembers: ['id', 'model', 'usage', 'service_tier', 'error'],
  readJson: readEmbeddingsJson,
}

function readEmbeddingsCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const model = readCallModel(body.value, source.path)
  if (readFlag(body.value, 'stream') === true)
    throw new InvalidCall('"stream" is not supported by embeddings; leave it out.', 'stream')
  const counter = new InputCounter(openAIMedia(model), exactTexts(model, source))
  const inputs = addPrompts(counter, body.value['input'] ?? body.value['messages'] ?? body.value['inputs'])
  if (!inputs)
    throw new InvalidCall('"input" must be a string, or an array of strings, of tokens, or of token arrays.', 'input')
  counter.addOverhead(INPUT_TOKENS * inputs)
  const parsed: OpenAIParsed = {
    insertAt: body.insertAt,
    limits: [],
    usage: undefined,
    usageIsOurs: false,
    stored: false,
  }
  return {
    model,
    stream: false,
    input: counter.estimate(),
    generates: false,
    outputLimit: undefined,
    answers: 1,
    thinkingBudget: 0,
    reasoning: false,
    structured: false,
    tools: false,
    audioOutput: false,
    ...askedTier(body.value),
    objects: [],
    unseenInput: counter.unseen,
    parsed,
  }
}

function readEmbeddingsJson(members: Readonly<Record<string, unknown>>): AnswerFacts {
  const usage = readChatUsage(members['usage'])
  return {
    // Some servers put a zero or a guess under completion_tokens: an embedding has no output.
    usage: usage && { ...usage, tokens: withoutOutput(usage.tokens) },
    model: asText(members['model']),
    providerId: asText(members['id']),
    ...statedCostOf(members['usage']),
    serviceTier: answeredTier(members['service_tier'], members['usage']),
    storedId: undefined,
    ...failedAnswer(members['error']),
  }
}

function withoutOutput<Tokens extends { readonly output?: number }>(tokens: Tokens): Omit<Tokens, 'output'> {
  const { output: _none, ...input } = tokens
  return input
}
