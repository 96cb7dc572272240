/** Runs of assistants: how the call is read, and their streams where they are odd. */
import { AssistantStream } from 'openai/lib/AssistantStream'
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import { runsMetering } from '../../../src/providers/openai/runs.ts'
import type { CallRequest, StreamReader } from '../../../src/providers/provider.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'

const PATH = '/v1/threads/thread_1/runs'
const USAGE = { prompt_tokens: 20, completion_tokens: 7, total_tokens: 27 }

function read(body: object, path = PATH): CallRequest {
  return runsMetering.readCall(Buffer.from(JSON.stringify(body)), { ...SOURCE, path })
}

function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function runEvent(status: string, more: object = {}): string {
  const run = { id: 'run_1', object: 'thread.run', thread_id: 'thread_1', status, model: 'gpt-5', usage: null, ...more }
  return event(`thread.run.${status}`, run)
}

const CREATED = event('thread.run.created', { id: 'run_1', thread_id: 'thread_1', status: 'queued', model: 'gpt-5' })
const DELTA = event('thread.message.delta', {
  id: 'msg_1',
  object: 'thread.message.delta',
  delta: { content: [{ index: 0, type: 'text', text: { value: 'hello' } }] },
})
const DONE = 'event: done\ndata: [DONE]\n\n'

function stream(text: string, call = read({ assistant_id: 'asst_1' })): { meter: StreamMeter; reader: StreamReader } {
  const reader = runsMetering.createStreamReader(call, 'sse', NO_HEADERS)
  const meter = new StreamMeter(reader)
  meter.push(Buffer.from(text))
  return { meter, reader }
}

describe('the call', () => {
  test('is known by its model, else by its assistant', () => {
    expect(read({ assistant_id: 'asst_1', model: 'gpt-5' }).model).toBe('gpt-5')
    expect(read({ assistant_id: 'asst_1' }).model).toBe('asst_1')
    expect(read({ assistant_id: 'asst_1', model: null }).model).toBe('asst_1')
  })

  test('reads its thread, its assistant and what its body names; all of it but the body is unseen', () => {
    const call = read({
      assistant_id: 'asst_1',
      stream: true,
      max_completion_tokens: 300,
      additional_messages: [{ role: 'user', content: 'hi', attachments: [{ file_id: 'file_1', tools: [] }] }],
    })
    expect(call).toMatchObject({ stream: true, goesOn: true, unseenInput: true, outputLimit: 300 })
    expect(call.objects.toSorted()).toEqual(['asst_1', 'file_1', 'thread_1'])
    expect(read({ assistant_id: 'asst_1' }, '/v1/threads/runs').objects).toEqual(['asst_1'])
  })

  test('counts all texts of the body', () => {
    const long = 'word '.repeat(1000)
    const tokensOf = (more: object): number => read({ assistant_id: 'asst_1', ...more }).input.highTokens
    const bare = tokensOf({})
    for (const more of [
      { instructions: long },
      { additional_instructions: long },
      { additional_messages: [{ role: 'user', content: long }] },
      { thread: { messages: [{ role: 'user', content: [{ type: 'text', text: long }] }] } },
      { tools: [{ type: 'function', function: { name: 'f', description: long } }] },
    ])
      expect(tokensOf(more) - bare).toBeGreaterThan(900)
  })
})

describe('where a run is asked for', () => {
  test.each([
    ['/v1/threads/thread_1/runs', '/v1/threads/thread_1/runs/run_1'],
    ['/openai/threads/thread_1/runs', '/openai/threads/thread_1/runs/run_1'],
    ['/v1/threads/runs', '/v1/threads/thread_9/runs/run_1'],
  ])('%s', (path, poll) => {
    const call = read({ assistant_id: 'asst_1' }, path)
    const members = { id: 'run_1', thread_id: 'thread_9', status: 'queued', model: 'gpt-5' }
    const facts = runsMetering.readJson(members, call, NO_HEADERS)
    expect(facts.job?.pollPath(path)).toBe(poll)
    expect(facts.storedId).toBe(path.endsWith('/threads/runs') ? 'thread_9' : 'run_1')
  })

  test('nowhere, where it names no id or has its end', () => {
    const call = read({ assistant_id: 'asst_1' })
    for (const members of [
      { status: 'queued' },
      { id: '../x', status: 'queued' },
      { id: 'run_1', status: 'completed', usage: USAGE },
      { id: 'run_1', status: 7 },
    ])
      expect(runsMetering.readJson(members, call, NO_HEADERS).job).toBeUndefined()
  })
})

describe('a stream', () => {
  test('ends with its run, whose usage it states', () => {
    const { meter } = stream(CREATED + DELTA + runEvent('completed', { usage: USAGE }) + DONE)
    expect(meter.terminal?.toString()).toContain('thread.run.completed')
    expect(meter.facts).toMatchObject({ usage: { tokens: { input: 20, output: 7 } }, model: 'gpt-5' })
    expect(meter.facts.job).toBeUndefined()
    expect(meter.failed).toBe(false)
  })

  test('that waits for tools ends, and its run goes on', () => {
    const { meter } = stream(CREATED + runEvent('requires_action') + DONE)
    expect(meter.terminal?.toString()).toBe(DONE)
    expect(meter.facts.job?.id).toBe('run_1')
    expect(meter.facts.usage).toBeUndefined()
  })

  test.each(['failed', 'cancelled', 'expired'])('whose run %s has failed, with what it states', (status) => {
    const { meter } = stream(CREATED + runEvent(status, { usage: USAGE }) + DONE)
    expect(meter.failed).toBe(true)
    expect(meter.facts.usage?.tokens).toEqual({ input: 20, output: 7 })
    expect(meter.facts.job).toBeUndefined()
  })

  test('that breaks off leaves a run that goes on', () => {
    const { meter } = stream(CREATED + DELTA)
    expect(meter.facts.job?.id).toBe('run_1')
    expect(meter.outputTokens).toBe(1)
  })

  test('counts what the model writes for its tools', () => {
    const delta = { step_details: { type: 'tool_calls', tool_calls: [{ code_interpreter: { input: 'import' } }] } }
    const { meter } = stream(CREATED + event('thread.run.step.delta', { id: 'step_1', delta }))
    expect(meter.outputTokens).toBe(1)
  })

  test('with a run too large to be kept is read all the same', () => {
    const instructions = 'long '.repeat(300_000)
    const created = event('thread.run.created', { id: 'run_1', thread_id: 'thread_9', status: 'queued', instructions })
    const call = read({ assistant_id: 'asst_1' }, '/v1/threads/runs')
    const begun = stream(created, call).meter
    expect(begun.facts.job?.pollPath('/v1/threads/runs')).toBe('/v1/threads/thread_9/runs/run_1')
    const { meter } = stream(created + runEvent('completed', { instructions, usage: USAGE, tools: [] }) + DONE, call)
    expect(meter.facts.usage?.tokens).toEqual({ input: 20, output: 7 })
    expect(meter.facts.job).toBeUndefined()
    expect(meter.facts.storedId).toBe('thread_1')
  })

  test('with events that are no JSON says so, and throws nothing', () => {
    const { meter, reader } = stream('event: thread.run.completed\ndata: {"id":\n\nevent: thread.run.\ndata: 7\n\n')
    expect(reader.unreadable).toBe(true)
    expect(meter.facts.usage).toBeUndefined()
  })
})

describe('as the official client sees it', () => {
  function client(text: string): AssistantStream {
    const body = new Response(text).body as ReadableStream
    return AssistantStream.fromReadableStream(
      body.pipeThrough(new TextDecoderStream()).pipeThrough(lines()).pipeThrough(new TextEncoderStream()),
    )
  }

  test('a stream that is cut ends with an incomplete run', async () => {
    const { reader } = stream(CREATED)
    const whole = await client(CREATED + reader.cutEnding().toString()).finalRun()
    expect(whole).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_completion_tokens' } })
  })

  test('an error ends it', async () => {
    const { reader } = stream(CREATED)
    const error = errorFacts('overloaded', 'It broke off.', 'req_1', {})
    await expect(client(CREATED + reader.errorEvent(error).toString()).finalRun()).rejects.toThrow('It broke off.')
  })

  /** Its helper reads events as lines of JSON, as the client's own stream hands them on. */
  function lines(): TransformStream<string, string> {
    return new TransformStream({
      transform(chunk, controller) {
        for (const [, name, data] of chunk.matchAll(/event: (.*)\ndata: (.*)\n\n/g))
          if (name !== 'done')
            controller.enqueue(`${JSON.stringify({ event: name, data: JSON.parse(data as string) })}\n`)
      },
    })
  }
})
