import { type Call, type JsonObject, jsonLine, jsonReply, positiveInteger, type Reply } from './call.ts'
import { billedUnits, FINISH } from './cohere-words.ts'
import { countInput } from './count-input.ts'
import { type Choice, choiceText, generateChoices, splitInput, sumOutput, type Wish } from './generate-answer.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** `POST /v1/chat`: lines, or server-sent events where the caller accepts those. */
export function chatV1(call: Call): Reply {
  const { body } = call
  if (typeof body['message'] !== 'string') throw new ProviderError(400, 'invalid request: message is required')
  const stream = body['stream'] === true
  const choice = generateChoices(call, wishOf(body, stream), 1)[0] as Choice
  const counted = countInput(body['message']) + countInput(body['chat_history']) + countInput(body['documents']) + 3
  const meta = metaOf(call, splitInput(call, counted).total, choice.outputTokens)
  const id = idTail(call.idSeed, 24)
  const response = (text: string): JsonObject => ({
    response_id: `resp-${id}`,
    text,
    generation_id: `gen-${id}`,
    finish_reason: FINISH[choice.finish],
    ...meta,
  })
  if (!stream) return jsonReply(response(choiceText(choice)), choice.outputTokens, choiceText(choice))
  return lines(call, [choice], { event_type: 'stream-start', generation_id: `gen-${id}` }, (texts) =>
    response(texts[0] ?? ''),
  )
}

/** `POST /v1/generate`. */
export function generate(call: Call): Reply {
  const { body } = call
  const stream = body['stream'] === true
  const choices = generateChoices(call, wishOf(body, stream), positiveInteger(body, 'num_generations') ?? 1)
  const meta = metaOf(call, splitInput(call, countInput(body['prompt']) + 1).total, sumOutput(choices).output)
  const id = `gen-${idTail(call.idSeed, 24)}`
  const whole = (texts: readonly string[]): JsonObject => ({
    id,
    generations: texts.map((text, index) => ({ id: `${id}-${index}`, index, text, finish_reason: 'COMPLETE' })),
    prompt: body['prompt'],
    ...meta,
  })
  const texts = stream ? [] : choices.map(choiceText)
  return stream
    ? lines(call, choices, undefined, whole)
    : jsonReply(whole(texts), sumOutput(choices).output, texts[0] ?? '')
}

function wishOf(body: JsonObject, stream: boolean): Wish {
  const limit = positiveInteger(body, 'max_tokens')
  return { stream, limit, reasoning: false, tools: [], useTools: false, schema: undefined }
}

function metaOf(call: Call, input: number, output: number): JsonObject {
  if (call.controls.faults.has('no_usage')) return {}
  return { meta: { api_version: { version: '1' }, ...billedUnits(input, output, 0) } }
}

function lines(
  call: Call,
  choices: readonly Choice[],
  start: JsonObject | undefined,
  response: (texts: readonly string[]) => JsonObject,
): Reply {
  const failed = jsonLine({
    is_finished: true,
    event_type: 'stream-end',
    finish_reason: 'ERROR',
    err: MID_STREAM_ERROR.message,
  })
  return {
    kind: 'stream',
    steps: lineSteps(call, choices, start, response),
    tokens: sumOutput(choices).output,
    contentType: 'application/stream+json',
    errorEvent: failed,
    failedEvent: failed,
    brokenEvent: '{"broken":\n',
  }
}

function* lineSteps(
  call: Call,
  choices: readonly Choice[],
  start: JsonObject | undefined,
  response: (texts: readonly string[]) => JsonObject,
): Generator<string> {
  yield start === undefined ? '' : jsonLine({ is_finished: false, ...start })
  const texts: string[] = []
  for (const [index, choice] of choices.entries())
    for (const part of choice.parts)
      for (const text of part.tokens) {
        // Kept to be repeated at the end; of one that never ends, nobody sees the end.
        texts[index] = `${texts[index] ?? ''}${text}`.slice(0, 1_000_000)
        yield jsonLine({
          is_finished: false,
          event_type: 'text-generation',
          text,
          ...(choices.length > 1 ? { index } : {}),
        })
      }
  if (call.controls.faults.has('no_terminal')) return
  const finish_reason = FINISH[choices[0]?.finish ?? 'stop']
  yield jsonLine({ is_finished: true, event_type: 'stream-end', response: response(texts), finish_reason })
}
