/**
 * A stream that is cut when the money ends, as the official clients see it: a normal answer that stopped for its
 * length, with everything that was delivered. The clients run their own stream helpers on the bytes.
 */

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../src/errors.ts'
import { StreamMeter } from '../../src/meter/stream-meter.ts'
import type { CallRequest, Metering } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { NO_HEADERS, SOURCE } from '../support/call-source.ts'
import { isStream } from './as-passed.ts'
import { COMPOSED } from './composed.ts'
import { callOf, loadMetered, meteringOf, responseBody } from './recordings.ts'

interface Source {
  readonly name: string
  readonly endpoint: string
  readonly metering: Metering
  readonly call: CallRequest
  readonly body: Buffer
}

const ALLOWANCES = [0, 1, 2, 5, 17, 60]
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds' })

async function sources(): Promise<Source[]> {
  const composed = COMPOSED.filter((answer) => answer.streaming && answer.usage && !answer.name.includes('failed')).map(
    (answer): Source => {
      const operation = providers.get(answer.format)?.match('POST', answer.path)?.operation
      if (!operation?.metering) throw new Error(answer.path)
      const call = operation.metering.readCall(Buffer.from(JSON.stringify(answer.request)), SOURCE)
      return {
        name: answer.name,
        endpoint: operation.endpoint,
        metering: operation.metering,
        call,
        body: Buffer.from(answer.body),
      }
    },
  )
  const recorded = (await loadMetered())
    .filter(
      (recording) =>
        isStream(recording) &&
        recording.endpoint in clients &&
        ['openai', 'anthropic', 'azure-openai', 'groq', 'xai'].includes(recording.provider),
    )
    .filter((recording) => recording.expected.usageAbsent !== 'error')
    .map((recording): Source => {
      const metering = meteringOf(recording)
      if (!metering) throw new Error(recording.id)
      const endpoint = recording.endpoint === 'chat.completions' ? 'chat' : recording.endpoint
      return {
        name: recording.id,
        endpoint,
        metering,
        call: callOf(recording, metering),
        body: responseBody(recording),
      }
    })
  return [...composed, ...recorded]
}

/** What a client gets of a stream that is cut after `allowance` tokens; undefined where it never had to be cut. */
function cut(source: Source, allowance: number, ending: 'finish' | 'error'): Buffer | undefined {
  const reader = source.metering.createStreamReader(source.call, 'sse', NO_HEADERS)
  const meter = new StreamMeter(reader)
  meter.allowance = allowance
  const out = [...meter.push(source.body)]
  if (!meter.blocked) return undefined
  // Usage that the provider states early may say more than the text has: then the next text is kept back.
  if (!meter.facts.usage) expect(meter.outputTokens).toBeLessThanOrEqual(allowance)
  out.push(ending === 'finish' ? reader.cutEnding() : reader.errorEvent(ERROR))
  return Buffer.concat(out)
}

function answering(bytes: Buffer): () => Promise<Response> {
  return async () => new Response(new Uint8Array(bytes), { headers: { 'content-type': 'text/event-stream' } })
}

function openai(bytes: Buffer): OpenAI {
  return new OpenAI({ apiKey: 'x', maxRetries: 0, fetch: answering(bytes) })
}

function anthropic(bytes: Buffer): Anthropic {
  return new Anthropic({ apiKey: 'x', maxRetries: 0, fetch: answering(bytes) })
}

/** Those members of the formats' events that carry text. */
interface TextEvent {
  readonly type?: string
  readonly delta?: unknown
  readonly choices?: readonly { readonly index: number; readonly delta?: { readonly content?: string } }[]
}

/** Text of all deltas, as the events say it. */
function deltas(bytes: Buffer, pick: (event: TextEvent) => unknown): string {
  return bytes
    .toString()
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: {'))
    .map((line) => pick(JSON.parse(line.slice(6))) ?? '')
    .join('')
}

const clients: Record<string, (source: Source, bytes: Buffer) => Promise<void>> = {
  chat: async (_source, bytes) => {
    const stream = openai(bytes).chat.completions.stream({ model: 'm', messages: [] })
    const final = await stream.finalChatCompletion()
    expect(final.choices.map((choice) => choice.finish_reason)).toEqual(final.choices.map(() => 'length'))
    expect(final.choices.length).toBeGreaterThan(0)
    const text = deltas(bytes, (event) => (event.choices?.[0]?.index === 0 ? event.choices[0].delta?.content : ''))
    expect(final.choices[0]?.message.content ?? '').toBe(text)
  },
  completions: async (_source, bytes) => {
    const stream = await openai(bytes).completions.create({ model: 'm', prompt: 'x', stream: true })
    let last: string | null | undefined
    for await (const chunk of stream) last = chunk.choices[0]?.finish_reason ?? last
    expect(last).toBe('length')
  },
  responses: async (_source, bytes) => {
    const stream = openai(bytes).responses.stream({ model: 'm', input: 'x' })
    const types: string[] = []
    const numbers: number[] = []
    stream.on('event', (event) => {
      types.push(event.type)
      if ('sequence_number' in event) numbers.push(event.sequence_number)
    })
    const final = await stream.finalResponse()
    expect(final.status).toBe('incomplete')
    expect(final.incomplete_details?.reason).toBe('max_output_tokens')
    expect(types.at(-1)).toBe('response.incomplete')
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index))
    expect(final.output_text).toBe(
      deltas(bytes, (event) => (event.type === 'response.output_text.delta' ? event.delta : '')),
    )
    const added = types.filter((type) => type === 'response.output_item.added').length
    expect(types.filter((type) => type === 'response.output_item.done')).toHaveLength(added)
    expect(final.output).toHaveLength(added)
  },
  messages: async (_source, bytes) => {
    const final = await anthropic(bytes).messages.stream({ model: 'm', max_tokens: 1, messages: [] }).finalMessage()
    expect(final.stop_reason).toBe('max_tokens')
    const text = deltas(bytes, (event) =>
      event.type === 'content_block_delta' ? (event.delta as { readonly text?: string }).text : '',
    )
    expect(final.content.map((block) => (block.type === 'text' ? block.text : '')).join('')).toBe(text)
  },
}

const all = await sources()

describe('a cut stream is a normal answer that stopped for its length', () => {
  test.each(all.map((source) => [source.name, source] as const))('%s', async (_name, source) => {
    for (const allowance of ALLOWANCES) {
      const bytes = cut(source, allowance, 'finish')
      if (bytes) await clients[source.endpoint]?.(source, bytes)
    }
  })

  test('some stream of each endpoint had to be cut', () => {
    const endpoints = new Set(all.filter((source) => cut(source, 0, 'finish')).map((source) => source.endpoint))
    expect([...endpoints].toSorted()).toEqual(['chat', 'completions', 'messages', 'responses'])
  })
})

describe('an error event ends the stream as an error of the client', () => {
  const one = (endpoint: string): Buffer => {
    const source = all.find((candidate) => candidate.endpoint === endpoint && cut(candidate, 0, 'error'))
    const bytes = source && cut(source, 0, 'error')
    if (!bytes) throw new Error(`no stream of ${endpoint}`)
    return bytes
  }

  test('chat', async () => {
    const stream = openai(one('chat')).chat.completions.stream({ model: 'm', messages: [] })
    await expect(stream.finalChatCompletion()).rejects.toThrow('The wallet is empty.')
  })

  test('completions', async () => {
    const stream = await openai(one('completions')).completions.create({ model: 'm', prompt: 'x', stream: true })
    await expect(async () => {
      for await (const _chunk of stream);
    }).rejects.toThrow('The wallet is empty.')
  })

  test('responses', async () => {
    const stream = await openai(one('responses')).responses.create({ model: 'm', input: 'x', stream: true })
    const types: string[] = []
    const read = async (): Promise<void> => {
      for await (const event of stream) types.push(event.type)
    }
    await read().catch((error: unknown) => types.push(String(error)))
    expect(types.at(-1)).toMatch(/error/i)
  })

  test('messages', async () => {
    const stream = anthropic(one('messages')).messages.stream({ model: 'm', max_tokens: 1, messages: [] })
    await expect(stream.finalMessage()).rejects.toThrow('The wallet is empty.')
  })
})

test('the caller who asked for usage gets our count of it in a cut stream', async () => {
  const source = all.find((candidate) => candidate.name === 'chat, stream, usage asked for by the caller')
  const bytes = source && cut(source, 1, 'finish')
  if (!source || !bytes) throw new Error('not cut')
  const final = await openai(bytes).chat.completions.stream({ model: 'm', messages: [] }).finalChatCompletion()
  expect(final.usage).toEqual({
    prompt_tokens: source.call.input.highTokens,
    completion_tokens: 1,
    total_tokens: source.call.input.highTokens + 1,
  })
})
