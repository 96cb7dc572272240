import { type Call, isObject, type JsonObject, jsonReply, positiveInteger, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { type Choice, choiceText, generateChoices, splitInput, sumOutput, type Wish } from './generate-answer.ts'
import { roundRobin } from './openai-chat.ts'
import { MID_STREAM_ERROR, openaiErrorBody, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

// The real endpoint stops after 16 tokens where the call names no limit.
const DEFAULT_LIMIT = 16

/** `POST …/completions` (legacy). Each prompt gets `n` choices; what `best_of` throws away is billed too. */
export function completions(call: Call): Reply {
  const { body } = call
  const stream = body['stream'] === true
  const count = positiveInteger(body, 'n') ?? 1
  const best = positiveInteger(body, 'best_of') ?? count
  if (best < count) throw new ProviderError(400, "'best_of' must be at least 'n'.", null, 'best_of')
  const prompts = readPrompts(body['prompt'])
  const limit = positiveInteger(body, 'max_tokens') ?? DEFAULT_LIMIT
  const wish: Wish = { stream, limit, reasoning: false, tools: [], useTools: false, schema: undefined }
  const choices = generateChoices(call, wish, prompts.length * count)
  const generated = generateChoices(call, { ...wish, stream: false }, prompts.length * best)
  const usage = completionUsage(call, prompts, sumOutput(generated).output)
  if (stream) return completionStream(call, choices, usage)
  return completionJson(call, choices, usage)
}

/** A prompt is a text or a list of token numbers; the field holds one or a list of them. */
export function readPrompts(prompt: unknown): unknown[] {
  if (!Array.isArray(prompt)) return [prompt ?? '']
  return typeof prompt[0] === 'number' ? [prompt] : prompt
}

function completionUsage(call: Call, prompts: readonly unknown[], output: number): JsonObject {
  const input = splitInput(call, Math.max(1, countInput(prompts))).total
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
}

function envelope(call: Call): JsonObject {
  const id = `cmpl-${idTail(call.idSeed, 29)}`
  return { id, object: 'text_completion', created: call.nowSeconds, model: call.model }
}

function completionJson(call: Call, choices: readonly Choice[], usage: JsonObject): Reply {
  const list = choices.map((choice, index) => {
    return { text: choiceText(choice), index, logprobs: null, finish_reason: choice.finish }
  })
  const body = { ...envelope(call), choices: list, ...(call.controls.faults.has('no_usage') ? {} : { usage }) }
  return jsonReply(body, sumOutput(choices).output, choiceText(choices[0] as Choice))
}

function completionStream(call: Call, choices: readonly Choice[], usage: JsonObject): Reply {
  const error = `data: ${openaiErrorBody(MID_STREAM_ERROR)}\n\n`
  const tokens = sumOutput(choices).output
  const steps = completionSteps(call, choices, usage)
  return { kind: 'stream', steps, tokens, errorEvent: error, failedEvent: error }
}

function* completionSteps(call: Call, choices: readonly Choice[], usage: JsonObject): Generator<string> {
  const options = call.body['stream_options']
  const asked = isObject(options) && options['include_usage'] === true && !call.controls.faults.has('no_usage')
  const head = `data: ${JSON.stringify(envelope(call)).slice(0, -1)},"choices":[`
  const tail = asked ? '],"usage":null}\n\n' : ']}\n\n'
  const chunk = (text: string, index: number, reason: string) =>
    `${head}{"text":${JSON.stringify(text)},"index":${index},"logprobs":null,"finish_reason":${reason}}${tail}`
  // Nothing comes before the first token here: the first step is the open connection alone.
  yield ''
  yield* roundRobin(choices.map((choice, index) => tokenSteps(choice, (text) => chunk(text, index, 'null'))))
  let end = choices.map((choice, index) => chunk('', index, `"${choice.finish}"`)).join('')
  if (asked) end += `${head}],"usage":${JSON.stringify(usage)}}\n\n`
  yield call.controls.faults.has('no_terminal') ? end : `${end}data: [DONE]\n\n`
}

function* tokenSteps(choice: Choice, chunk: (text: string) => string): Generator<string> {
  for (let i = 0; i < choice.reasoningTokens; i++) yield ''
  for (const part of choice.parts) for (const token of part.tokens) yield chunk(token)
}
