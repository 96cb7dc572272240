/** Runs of assistants: JSON or a stream, in one pass, or in two with tools of the caller's between them. */
import { type Call, isObject, type JsonObject, type JsonReply, jsonReply, positiveInteger, type Reply } from './call.ts'
import { applyControls, takeFromText } from './controls.ts'
import { countInput } from './count-input.ts'
import { type Choice, choiceText, generateChoices, schemaOr, splitInput, type Tool } from './generate-answer.ts'
import { JobProgress } from './job-progress.ts'
import { addMessages, keepMessage, lastText, newThread, tokensIn } from './openai-assistants.ts'
import { runStream } from './openai-run-stream.ts'
import { MID_STREAM_ERROR, ProviderError } from './provider-errors.ts'
import { idTail } from './random.ts'

/** One pass of a run, from its start or from its tools' outputs to its end or to the next tools. */
export interface RunPass {
  readonly call: Call
  readonly choice: Choice
  /** As it has begun. */
  readonly begun: JsonObject
  /** As it is at the end of the pass: completed, or in need of its tools' outputs. */
  readonly ended: JsonObject
  readonly message: JsonObject | undefined
}

/** `POST …/threads/:id/runs`. */
export function createRun(call: Call, thread: string): Reply {
  const assistant = assistantOf(call)
  const found = call.stored.get(thread)
  if (found === undefined) throw new ProviderError(404, `No thread found with id '${thread}'.`)
  addMessages(call, thread, call.body['additional_messages'])
  const { body, nowSeconds } = call
  const id = `run_${idTail(call.idSeed + 2, 24)}`
  const { response: own, tokens } = found
  call.stored.keep(thread, {
    response: { ...own, runs: [...((own['runs'] as string[] | undefined) ?? []), id] },
    tokens,
  })
  const begun = {
    id,
    object: 'thread.run',
    created_at: nowSeconds,
    assistant_id: assistant['id'],
    thread_id: thread,
    status: 'queued',
    started_at: null,
    expires_at: nowSeconds + 600,
    cancelled_at: null,
    failed_at: null,
    completed_at: null,
    required_action: null,
    last_error: null,
    model: body['model'] ?? assistant['model'],
    instructions: body['instructions'] ?? assistant['instructions'],
    tools: body['tools'] ?? assistant['tools'],
    metadata: {},
    temperature: 1,
    top_p: 1,
    max_completion_tokens: body['max_completion_tokens'] ?? null,
    max_prompt_tokens: body['max_prompt_tokens'] ?? null,
    truncation_strategy: { type: 'auto', last_messages: null },
    incomplete_details: null,
    usage: null,
    response_format: 'auto',
    tool_choice: 'auto',
    parallel_tool_calls: true,
  }
  return answer(passOf(call, begun, true))
}

/** `POST …/threads/runs`. */
export function createThreadAndRun(call: Call): Reply {
  assistantOf(call)
  const wish = call.body['thread']
  const thread = newThread(call, isObject(wish) ? wish : {})
  return createRun(call, String(thread['id']))
}

/** `POST …/threads/:id/runs/:id/submit_tool_outputs`. */
export function submitToolOutputs(call: Call, id: string): Reply {
  const run = found(call, id).response
  if (run['status'] !== 'requires_action')
    throw new ProviderError(400, `Runs in status "${String(run['status'])}" do not accept tool outputs.`)
  const begun = { ...run, status: 'queued', required_action: null }
  return answer(passOf(call, begun, false))
}

/** `GET …/threads/:id/runs/:id`. */
export function getRun(call: Call, id: string): JsonReply {
  const { response, job } = found(call, id)
  return jsonReply(job !== undefined && !job.progress.look() ? job.begun : response)
}

/** `POST …/threads/:id/runs/:id/cancel`. */
export function cancelRun(call: Call, id: string): JsonReply {
  const { response, job } = found(call, id)
  if (job?.progress.done) throw new ProviderError(400, 'Cannot cancel a run that has ended.')
  const cancelled = { ...response, status: 'cancelled', cancelled_at: call.nowSeconds, usage: spent(call, id) ?? null }
  call.stored.keep(id, { response: cancelled, tokens: 0 })
  return jsonReply(cancelled)
}

function answer(pass: RunPass): Reply {
  const { call, begun } = pass
  if (call.body['stream'] === true) return runStream(pass)
  return jsonReply(begun)
}

/** Kept at once: it goes on whoever listens. */
function passOf(asked: Call, begun: JsonObject, mayUseTools: boolean): RunPass {
  const call = { ...asked, model: String(begun['model']) }
  const id = String(begun['id'])
  const thread = String(begun['thread_id'])
  takeFromText(call.controls, lastText(call, thread))
  const header = call.headers['x-simulate']
  if (typeof header === 'string') applyControls(call.controls, header)
  const choice = generateChoices(
    call,
    {
      stream: call.body['stream'] === true,
      limit: positiveInteger(begun, 'max_completion_tokens'),
      reasoning: false,
      tools: toolsOf(begun),
      useTools: mayUseTools,
      schema: undefined,
    },
    1,
  )[0] as Choice
  const message = choice.finish === 'tools' ? undefined : messageOf(call, begun, choice)
  const usage = addUsage(spent(call, id), usageOf(call, begun, choice))
  const running = { ...begun, status: 'in_progress', started_at: call.nowSeconds }
  const ended = endOf(call, running, choice, usage)
  call.stored.keep(usageKey(id), { response: usage, tokens: 0 })
  call.stored.keep(id, {
    response: ended,
    tokens: 0,
    job: { progress: new JobProgress(call.controls), begun: running },
  })
  if (message) keepMessage(call, thread, message)
  return { call, choice, begun, ended, message }
}

function endOf(call: Call, run: JsonObject, choice: Choice, usage: JsonObject): JsonObject {
  const { outcome, faults } = call.controls
  const stated = { ...run, usage: faults.has('no_usage') ? null : usage }
  if (choice.finish === 'tools') return { ...run, status: 'requires_action', required_action: toolCalls(choice) }
  if (outcome === 'failed') return { ...stated, status: outcome, last_error: { ...MID_STREAM_ERROR } }
  if (outcome !== undefined) return { ...stated, status: outcome }
  if (choice.finish === 'length')
    return { ...stated, status: 'incomplete', incomplete_details: { reason: 'max_completion_tokens' } }
  return { ...stated, status: 'completed', completed_at: call.nowSeconds, expires_at: null }
}

function toolCalls(choice: Choice): JsonObject {
  const calls = choice.parts.flatMap((part) =>
    part.type === 'tool'
      ? [{ id: `call_${part.id}`, type: 'function', function: { name: part.name, arguments: part.tokens.join('') } }]
      : [],
  )
  return { type: 'submit_tool_outputs', submit_tool_outputs: { tool_calls: calls } }
}

function messageOf(call: Call, run: JsonObject, choice: Choice): JsonObject {
  return {
    id: `msg_${idTail(call.idSeed + 5, 24)}`,
    object: 'thread.message',
    created_at: call.nowSeconds,
    assistant_id: run['assistant_id'],
    thread_id: run['thread_id'],
    run_id: run['id'],
    role: 'assistant',
    status: 'completed',
    content: [{ type: 'text', text: { value: choiceText(choice), annotations: [] } }],
    attachments: [],
    metadata: {},
  }
}

function toolsOf(run: JsonObject): Tool[] {
  const tools = Array.isArray(run['tools']) ? run['tools'] : []
  return tools.flatMap((tool) =>
    isObject(tool) && isObject(tool['function'])
      ? [{ name: String(tool['function']['name']), schema: schemaOr(tool['function']['parameters']) }]
      : [],
  )
}

/** The details of the prompt have a name of their own here, as recorded. */
function usageOf(call: Call, run: JsonObject, choice: Choice): JsonObject {
  const input = countInput(run['instructions']) + countInput(run['tools']) + tokensIn(call, String(run['thread_id']))
  const { total, cached } = splitInput(call, input + 3)
  return {
    prompt_tokens: total,
    completion_tokens: choice.outputTokens,
    total_tokens: total + choice.outputTokens,
    prompt_token_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: choice.reasoningTokens },
  }
}

function addUsage(before: JsonObject | undefined, usage: JsonObject): JsonObject {
  if (before === undefined) return usage
  const sum = (name: string): number => Number(before[name]) + Number(usage[name])
  const counts = ['prompt_tokens', 'completion_tokens', 'total_tokens'].map((name) => [name, sum(name)] as const)
  return { ...usage, ...Object.fromEntries(counts) }
}

/** Of its passes so far. */
function spent(call: Call, id: string): JsonObject | undefined {
  return call.stored.get(usageKey(id))?.response
}

function usageKey(id: string): string {
  return `usage of ${id}`
}

function assistantOf(call: Call): JsonObject {
  const assistant = call.stored.get(String(call.body['assistant_id']))?.response
  if (assistant === undefined)
    throw new ProviderError(404, `No assistant found with id '${String(call.body['assistant_id'])}'.`)
  return assistant
}

function found(call: Call, id: string): NonNullable<ReturnType<Call['stored']['get']>> {
  const run = call.stored.get(id)
  if (run === undefined) throw new ProviderError(404, `No run found with id '${id}'.`)
  return run
}
