/** POST …/completions: the legacy endpoint, which servers of open models still have. */
import { InputCounter } from '../input-counter.ts'
import type { JsonBody } from '../json-body.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import { type CallRequest, type CallSource, InvalidCall, type Metering, type StreamReader } from '../provider.ts'
import { readFlag, readWholeNumber } from '../read-fields.ts'
import { readCompletionJson } from './chat.ts'
import { CompletionStream } from './completion-stream.ts'
import { readUsageRequest } from './include-usage.ts'
import { type OpenAIParsed, ownLimitName, prepareOpenAI, readOpenAIBody } from './openai-call.ts'
import { readOtherModels } from './other-models.ts'
import { exactTexts } from './own-model.ts'
import { readCallModel } from './path-model.ts'
import { askedTier } from './price-tier.ts'
import { addPrompts } from './prompts.ts'

const LIMITS = ['max_tokens', 'n_predict']
/** A document's first token, and those between prompt and suffix. */
const PROMPT_TOKENS = 8

export const completionsMetering: Metering = {
  readCall: readCompletionsCall,
  prepare: (raw, call, edits) => prepareOpenAI(raw, call, edits, 'max_tokens'),
  outputLimitName: (call): string => ownLimitName(call, 'max_tokens'),
  createStreamReader: (call): StreamReader => new CompletionStream(call, 'text_completion'),
  jsonMembers: ['id', 'model', 'usage', 'service_tier', 'timings', 'x_groq', 'error'],
  readJson: readCompletionJson,
}

function readCompletionsCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOpenAIBody(raw, source.jsonDepth)
  const fields = body.value
  const model = readCallModel(fields, source.path)
  const stream = readFlag(fields, 'stream') === true
  const limits = readLimits(body, LIMITS, 0)
  const counter = new InputCounter({ image: () => 0 }, exactTexts(model, source))
  const prompts = countPrompts(counter, body)
  const parsed: OpenAIParsed = {
    insertAt: body.insertAt,
    limits,
    usage: stream ? readUsageRequest(raw, body, source) : undefined,
    usageIsOurs: false,
    stored: false,
  }
  return {
    model,
    stream,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: prompts * answersPerPrompt(body),
    thinkingBudget: 0,
    reasoning: false,
    structured: false,
    tools: false,
    audioOutput: false,
    ...readOtherModels(fields, model),
    ...askedTier(fields),
    objects: [],
    // A prompt template of the gateway's behind the path: the body has its variables alone.
    unseenInput: fields['prompt'] === undefined && fields['variables'] !== undefined,
    parsed,
  }
}

function answersPerPrompt(body: JsonBody): number {
  return Math.max(readWholeNumber(body.value, 'n', 1) ?? 1, readWholeNumber(body.value, 'best_of', 1) ?? 1)
}

/** How many prompts the body has; one where it has none: the model then starts a document. */
function countPrompts(counter: InputCounter, body: JsonBody): number {
  const prompts = addPrompts(counter, body.value['prompt'])
  if (prompts === undefined)
    throw new InvalidCall('"prompt" must be a string, or an array of strings, of tokens, or of token arrays.', 'prompt')
  if (typeof body.value['suffix'] === 'string') counter.addText(body.value['suffix'])
  counter.addOverhead(PROMPT_TOKENS * Math.max(1, prompts))
  return Math.max(1, prompts)
}
