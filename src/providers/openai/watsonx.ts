/**
 * IBM watsonx.ai: POST /ml/v1/text/generation, …/text/chat, …/text/embeddings and their streams (…_stream), also at a
 * deployment (/ml/v1/deployments/ID/text/…) and under the older names (/ml/v1-beta/generation/text).
 *
 * Each result has its own counts. The chat is that of OpenAI with `model_id`; it states its usage in the last chunk
 * without being asked.
 * Source: cloud.ibm.com/apidocs/watsonx-ai; recorded traffic.
 */
import { asCount, readCount } from '../counts.ts'
import { InputCounter } from '../input-counter.ts'
import { type NestedLimit, nestedLimitEdits, readNestedLimit } from '../nested-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asText, readModel } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { splice } from '../splice.ts'
import { chatMetering, readChatCall, readCompletionJson } from './chat.ts'
import { openAIErrorBody } from './error-event.ts'
import { type OpenAIParsed, readOpenAIBody } from './openai-call.ts'
import { readCallModel } from './path-model.ts'
import type { Fields } from './text-stream.ts'
import { WatsonxStream } from './watsonx-stream.ts'

const LIMIT_NAME = 'max_new_tokens'
const PROMPT_TOKENS = 16

export const watsonxGenerationMetering: Metering = {
  readCall: readGenerationCall,
  prepare: (raw, call, { outputLimit }) =>
    outputLimit === undefined ? raw : splice(raw, nestedLimitEdits(call.parsed as NestedLimit, outputLimit)),
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (call): StreamReader => new WatsonxStream(call),
  jsonMembers: ['model_id', 'results.*.input_token_count', 'results.*.generated_token_count', 'errors'],
  readJson: readGenerationJson,
}

export const watsonxChatMetering: Metering = {
  ...chatMetering,
  readCall: (raw, source) => {
    const call = readChatCall(raw, source, watsonxModel)
    const parsed: OpenAIParsed = { ...(call.parsed as OpenAIParsed), usage: undefined }
    return { ...call, stream: source.path.endsWith('_stream'), parsed }
  },
  jsonMembers: ['id', 'model', 'model_id', 'usage'],
  readJson: (members, call) => readCompletionJson({ ...members, model: members['model'] ?? members['model_id'] }, call),
}

export const watsonxEmbeddingsMetering: Metering = {
  readCall: (raw, source) => {
    const fields = readOpenAIBody(raw, source.jsonDepth).value
    const counter = new InputCounter({ image: () => 0 })
    const inputs = asArray(fields['inputs'])
    counter.addContent(inputs)
    counter.addOverhead(PROMPT_TOKENS * inputs.length)
    return { ...PLAIN_CALL, model: watsonxModel(fields, source.path), input: counter.estimate(), parsed: undefined }
  },
  prepare: (raw) => raw,
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (): StreamReader => new SilentStream(openAIErrorBody),
  jsonMembers: ['model_id', 'input_token_count'],
  readJson: (members) => {
    const input = readCount(members, 'input_token_count')
    return factsOf(members, input === undefined ? undefined : { tokens: { input }, raw: members })
  },
}

function readGenerationCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const place = { outer: 'parameters', name: LIMIT_NAME, negative: 'refused' } as const
  const parsed = readNestedLimit(raw, body, place, source.jsonDepth)
  const counter = new InputCounter({ image: () => 0 })
  counter.addOverhead(PROMPT_TOKENS)
  counter.addContent(fields['input'])
  return {
    ...PLAIN_CALL,
    model: watsonxModel(fields, source.path),
    stream: source.path.endsWith('_stream'),
    input: counter.estimate(),
    generates: true,
    outputLimit: parsed.tokens,
    // A deployed prompt template is filled in over there.
    unseenInput: fields['input'] === undefined,
    parsed,
  }
}

/** Of a deployment the path names it; elsewhere the body, under a name of its own. */
function watsonxModel(fields: Fields, path: string): string {
  if (path.includes('/deployments/')) return readCallModel({}, path)
  if (fields['model_id'] === undefined || fields['model_id'] === null)
    throw new InvalidCall('"model_id" is missing; name the model to be used.', 'model_id')
  return readModel({ model: fields['model_id'] })
}

function readGenerationJson(members: Fields): AnswerFacts {
  const inputs = counts(members['results.*.input_token_count'])
  const outputs = counts(members['results.*.generated_token_count'])
  if (inputs === undefined && outputs === undefined) return factsOf(members, undefined)
  const raw = { input_token_count: inputs, generated_token_count: outputs }
  return factsOf(members, {
    tokens: {
      ...(inputs === undefined ? {} : { input: inputs }),
      ...(outputs === undefined ? {} : { output: outputs }),
    },
    raw,
  })
}

/** Their sum; undefined where there is none. */
function counts(list: unknown): number | undefined {
  const found = asArray(list)
    .map(asCount)
    .filter((count) => count !== undefined)
  return found.length === 0 ? undefined : found.reduce((sum, count) => sum + count, 0)
}

function factsOf(members: Fields, usage: AnswerFacts['usage']): AnswerFacts {
  return {
    usage,
    model: asText(members['model_id']),
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
    ...(Array.isArray(members['errors']) && members['errors'].length > 0 ? { failed: true } : {}),
  }
}
