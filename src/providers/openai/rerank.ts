/**
 * POST …/rerank of Jina, Voyage, vLLM, Together and others: Cohere's body, billed by the token where `usage` has a total,
 * by the search where Cohere's own `meta` comes through. Text Embeddings Inference takes `texts` and states nothing.
 * Sources: docs.voyageai.com, "Reranker"; jina.ai/reranker; docs.vllm.ai, "Re-rank API"; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { memberObject, readCount } from '../counts.ts'
import { failedAnswer } from '../failed-answer.ts'
import { likelyInput } from '../likely-input.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { readRerankInput } from '../rerank-input.ts'
import { SilentStream } from '../silent-stream.ts'
import { readChatUsage } from './chat-usage.ts'
import { openAIErrorBody } from './error-event.ts'
import { hostedModel } from './hosted-model.ts'
import { readOpenAIBody } from './openai-call.ts'
import type { Fields } from './text-stream.ts'

export const rerankMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(openAIErrorBody),
  jsonMembers: ['id', 'model', 'usage', 'meta', 'error'],
  readJson: (members, call) => ({ ...factsOf(members), counted: countedOf(call) }),
  readOther: (_answer, call) => ({ ...factsOf({}), counted: countedOf(call) }),
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readOpenAIBody(raw, source.jsonDepth).value
  const { input, searches } = readRerankInput({ ...fields, documents: fields['documents'] ?? fields['texts'] })
  return {
    ...PLAIN_CALL,
    model: hostedModel(fields, ''),
    input,
    units: { searches },
    billedBy: ['searches'],
    parsed: undefined,
  }
}

function factsOf(members: Fields): AnswerFacts {
  return {
    usage: readSearches(members) ?? withoutOutput(readChatUsage(members['usage'])),
    model: asText(members['model']),
    providerId: asText(members['id']),
    serviceTier: undefined,
    storedId: undefined,
    ...failedAnswer(members['error']),
  }
}

function readSearches(members: Fields): Usage | undefined {
  const billed = memberObject(asObject(members['meta']), 'billed_units') ?? asObject(members['usage'])
  const searches = readCount(billed, 'search_units')
  return searches === undefined ? undefined : { tokens: {}, units: { searches }, raw: billed }
}

function withoutOutput(usage: Usage | undefined): Usage | undefined {
  if (!usage) return undefined
  const { output: _none, ...tokens } = usage.tokens
  return { ...usage, tokens }
}

/** Where nothing is stated: the text that was read, or the searches that it made, whichever is priced. */
function countedOf(call: CallRequest): Usage {
  return { tokens: { input: likelyInput(call.input) }, units: call.units ?? {}, raw: null }
}
