import { type Call, type JsonObject, type JsonReply, jsonReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { type Choice, choiceText, generateChoices, partText, type SplitInput, splitInput } from './generate-answer.ts'
import { either, eitherObject } from './google-words.ts'
import { JobProgress } from './job-progress.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'
import type { StoredResponse } from './stored-responses.ts'

/** `POST …/interactions`: a text answer, stored under its id. */
export function interactions(call: Call): Reply {
  const { body } = call
  if (body['input'] === undefined) throw new ProviderError(400, 'input is required.')
  const config = eitherObject(body, 'generationConfig')
  const limit = either(config, 'maxOutputTokens')
  const stream = body['stream'] === true
  const choice = generateChoices(
    call,
    {
      stream,
      limit: typeof limit === 'number' ? limit : undefined,
      reasoning: either(config, 'thinkingLevel') !== undefined,
      tools: [],
      useTools: false,
      schema: undefined,
    },
    1,
  )[0] as Choice
  const earlier = call.stored.get(String(body['previous_interaction_id']))?.tokens ?? 0
  const input = splitInput(call, countInput(body['input']) + earlier)
  if (stream) return interactionStream(call, choice, input)
  const value = interaction(call, choice, input)
  if (body['background'] === true) return begin(call, value, input, choice)
  keep(call, value, input, choice)
  return jsonReply(value, choice.outputTokens, choiceText(choice))
}

/** In the background: answered before it is done. Its end is `outcome`, or a good one. */
function begin(call: Call, value: JsonObject, input: SplitInput, choice: Choice): Reply {
  if (call.body['store'] === false) throw new ProviderError(400, 'background=true requires store=true.')
  const { outcome } = call.controls
  const begun = summary(call, 'in_progress', {})
  const response =
    outcome === undefined ? value : { ...summary(call, outcome, usageOf(call, input, choice)), steps: [] }
  const tokens = input.total + choice.outputTokens
  call.stored.keep(interactionId(call), { response, tokens, job: { progress: new JobProgress(call.controls), begun } })
  return jsonReply(begun)
}

/** `GET …/interactions/:id`. */
export function getInteraction(call: Call, id: string): JsonReply {
  const found = stored(call, id)
  return jsonReply(found.job !== undefined && !found.job.progress.look() ? found.job.begun : found.response)
}

/** `POST …/interactions/:id/cancel`. */
export function cancelInteraction(call: Call, id: string): JsonReply {
  const found = stored(call, id)
  if (found.job === undefined || found.job.progress.done) return jsonReply(found.response)
  const response = { ...found.job.begun, status: 'cancelled' }
  call.stored.keep(id, { response, tokens: 0 })
  return jsonReply(response)
}

/** `DELETE …/interactions/:id`. */
export function deleteInteraction(call: Call, id: string): JsonReply {
  stored(call, id)
  call.stored.delete(id)
  return jsonReply({})
}

function stored(call: Call, id: string): StoredResponse {
  const found = call.stored.get(id)
  if (found === undefined) throw new ProviderError(404, 'Requested entity was not found.')
  return found
}

function keep(call: Call, response: JsonObject, input: SplitInput, choice: Choice): void {
  if (call.body['store'] === false) return
  call.stored.keep(interactionId(call), { response, tokens: input.total + choice.outputTokens })
}

function interactionId(call: Call): string {
  return `v1_${idTail(call.idSeed, 40)}`
}

function statusOf(choice: Choice): string {
  return choice.finish === 'length' ? 'incomplete' : 'completed'
}

function interaction(call: Call, choice: Choice, input: SplitInput): JsonObject {
  const text = choice.parts.map(partText).join('')
  return {
    ...summary(call, statusOf(choice), usageOf(call, input, choice)),
    steps: [{ type: 'model_output', content: [{ type: 'text', text }] }],
  }
}

function summary(call: Call, status: string, usage: JsonObject): JsonObject {
  const created = new Date(call.nowSeconds * 1000).toISOString()
  return {
    id: interactionId(call),
    status,
    ...usage,
    created,
    updated: created,
    service_tier: 'standard',
    object: 'interaction',
    model: call.model,
  }
}

function usageOf(call: Call, input: SplitInput, choice: Choice): JsonObject {
  if (call.controls.faults.has('no_usage')) return {}
  return {
    usage: {
      total_tokens: input.total + choice.outputTokens,
      total_input_tokens: input.total,
      input_tokens_by_modality: [{ modality: 'text', tokens: input.total }],
      total_cached_tokens: input.cached,
      total_output_tokens: choice.outputTokens - choice.reasoningTokens,
      total_tool_use_tokens: 0,
      total_thought_tokens: choice.reasoningTokens,
    },
  }
}

function interactionStream(call: Call, choice: Choice, input: SplitInput): Reply {
  const error = event('error', { error: { code: 'internal', message: MID_STREAM_ERROR.message } })
  return {
    kind: 'stream',
    steps: steps(call, choice, input),
    tokens: choice.outputTokens,
    errorEvent: error,
    failedEvent: error,
    contentType: 'text/event-stream',
  }
}

function* steps(call: Call, choice: Choice, input: SplitInput): Generator<string> {
  const { faults } = call.controls
  const id = interactionId(call)
  yield event('interaction.created', {
    interaction: { id, status: 'in_progress', object: 'interaction', model: call.model },
  })
  for (let i = 0; i < choice.reasoningTokens; i++) yield ''
  let opening = event('step.start', { index: 0, step: { type: 'model_output' } })
  for (const part of choice.parts)
    for (const text of part.tokens) {
      yield opening + event('step.delta', { index: 0, delta: { text, type: 'text' } })
      opening = ''
    }
  keep(call, interaction(call, choice, input), input, choice)
  const completed = summary(call, statusOf(choice), usageOf(call, input, choice))
  const end = `${opening}${event('step.stop', { index: 0 })}${event('interaction.completed', { interaction: completed })}`
  yield faults.has('no_terminal') ? end : `${end}event: done\ndata: [DONE]\n\n`
}

function event(type: string, fields: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ ...fields, event_type: type })}\n\n`
}
