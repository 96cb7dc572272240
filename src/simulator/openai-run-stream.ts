/** The events of one pass of a run. */
import type { JsonObject, StreamReply } from './call.ts'
import { choiceText } from './generate-answer.ts'
import type { RunPass } from './openai-runs.ts'
import { MID_STREAM_ERROR, openaiErrorBody } from './provider-errors.ts'
import { idTail } from './random.ts'

export function runStream(pass: RunPass): StreamReply {
  const { message, code } = MID_STREAM_ERROR
  const failed = { ...pass.ended, status: 'failed', last_error: { code, message } }
  return {
    kind: 'stream',
    steps: runSteps(pass),
    tokens: pass.choice.outputTokens,
    errorEvent: `event: error\ndata: ${openaiErrorBody(MID_STREAM_ERROR)}\n\n`,
    failedEvent: write('thread.run.failed', failed),
  }
}

function* runSteps(pass: RunPass): Generator<string> {
  const { call, begun, ended, message, choice } = pass
  const running = { ...begun, status: 'in_progress' }
  yield write('thread.run.created', begun) +
    write('thread.run.queued', begun) +
    write('thread.run.in_progress', running)
  const step = stepOf(pass)
  const begins = write('thread.run.step.created', step) + write('thread.run.step.in_progress', step)
  const end = `${write(`thread.run.${String(ended['status'])}`, ended)}event: done\ndata: [DONE]\n\n`
  if (message === undefined) yield* toolSteps(pass, step, begins)
  else {
    const open = { ...message, status: 'in_progress', content: [] }
    let before = begins + write('thread.message.created', open) + write('thread.message.in_progress', open)
    for (let i = 0; i < choice.reasoningTokens; i++) yield ''
    for (const part of choice.parts)
      for (const token of part.tokens) {
        yield before + textDelta(String(message['id']), token)
        before = ''
      }
    const content = [{ type: 'text', text: { value: choiceText(choice), annotations: [] } }]
    yield before +
      write('thread.message.completed', { ...message, content }) +
      write('thread.run.step.completed', { ...step, status: 'completed', usage: ended['usage'] })
  }
  yield call.controls.faults.has('no_terminal') ? '' : end
}

function* toolSteps({ choice }: RunPass, step: JsonObject, before: string): Generator<string> {
  let opening = before
  let index = 0
  for (const part of choice.parts) {
    if (part.type !== 'tool') continue
    const call = { index, id: `call_${part.id}`, type: 'function', function: { name: part.name, arguments: '' } }
    opening += toolDelta(step, { ...call, output: null })
    for (const token of part.tokens) {
      yield opening + toolDelta(step, { index, type: 'function', function: { arguments: token } })
      opening = ''
    }
    index++
  }
}

function stepOf({ call, begun, message }: RunPass): JsonObject {
  const type = message === undefined ? 'tool_calls' : 'message_creation'
  return {
    id: `step_${idTail(call.idSeed + 7, 24)}`,
    object: 'thread.run.step',
    created_at: call.nowSeconds,
    run_id: begun['id'],
    assistant_id: begun['assistant_id'],
    thread_id: begun['thread_id'],
    type,
    status: 'in_progress',
    step_details:
      message === undefined ? { type, tool_calls: [] } : { type, message_creation: { message_id: message['id'] } },
    usage: null,
  }
}

function textDelta(id: string, value: string): string {
  const delta = { content: [{ index: 0, type: 'text', text: { value } }] }
  return write('thread.message.delta', { id, object: 'thread.message.delta', delta })
}

function toolDelta(step: JsonObject, toolCall: JsonObject): string {
  const delta = { step_details: { type: 'tool_calls', tool_calls: [toolCall] } }
  return write('thread.run.step.delta', { id: step['id'], object: 'thread.run.step.delta', delta })
}

function write(name: string, data: JsonObject): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}
