import { describe, expect, test } from 'vitest'
import type { Upstream } from '../../../src/config/snapshot.ts'
import type { Metering } from '../../../src/providers/provider.ts'
import { providers } from '../../../src/providers/registry.ts'
import { testUpstream } from '../../recordings/recordings.ts'
import { SOURCE } from '../../support/call-source.ts'

const OPENAI = testUpstream('https://api.openai.com/v1')
const OTHER = testUpstream('http://localhost:8000/v1')

function meteringFor(endpoint: string): Metering {
  const paths: Record<string, string> = {
    chat: '/v1/chat/completions',
    completions: '/v1/completions',
    responses: '/v1/responses',
    embeddings: '/v1/embeddings',
    messages: '/v1/messages',
  }
  const format = endpoint === 'messages' ? 'anthropic' : 'openai'
  const metering = providers.get(format)?.match('POST', paths[endpoint] ?? '')?.operation.metering
  if (!metering) throw new Error(endpoint)
  return metering
}

function prepare(endpoint: string, text: string, outputLimit: number | undefined, upstream: Upstream): string {
  const metering = meteringFor(endpoint)
  const raw = Buffer.from(text)
  const call = metering.readCall(raw, SOURCE)
  const prepared = metering.prepare(raw, call, { outputLimit, upstream })
  if (prepared.equals(raw)) expect(prepared).toBe(raw)
  return prepared.toString()
}

const ASK = '"stream_options":{"include_usage":true}'

describe('usage is asked for where the caller has not, and not a byte besides changes', () => {
  test.each([
    ['no options', '{ "model":"m","stream":true}', `{${ASK}, "model":"m","stream":true}`],
    [
      'empty options',
      '{"model":"m","stream":true,"stream_options":{ }}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true }}',
    ],
    [
      'null options',
      '{"model":"m","stream":true,"stream_options" : null}',
      '{"model":"m","stream":true,"stream_options" : {"include_usage":true}}',
    ],
    [
      'other options',
      '{"model":"m","stream":true,"stream_options":{"x":1}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}',
    ],
    [
      'asked not to',
      '{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      'asked null',
      '{"model":"m","stream":true,"stream_options":{"include_usage":null}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      'asked already',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    ['no stream', '{"model":"m","stream":false}', '{"model":"m","stream":false}'],
  ])('%s', (_name, before, after) => {
    expect(prepare('chat', before, undefined, OPENAI)).toBe(after)
    expect(prepare('completions', before, undefined, OPENAI)).toBe(after)
  })

  test('never at Mistral, which refuses the option', () => {
    const body = '{"model":"m","stream":true}'
    expect(prepare('chat', body, undefined, testUpstream('https://api.mistral.ai/v1'))).toBe(body)
  })

  test('as the upstream’s own setting says, whatever its host', () => {
    const body = '{"model":"m","stream":true}'
    const asked = `{${ASK},"model":"m","stream":true}`
    expect(prepare('chat', body, undefined, testUpstream('https://api.mistral.ai/v1', { askForUsage: true }))).toBe(
      asked,
    )
    expect(prepare('chat', body, undefined, testUpstream('http://strict/v1', { askForUsage: false }))).toBe(body)
  })

  test.each([
    ['2024-02-01', false],
    ['2024-08-01-preview', false],
    ['2024-09-01-preview', true],
    ['2025-04-01', true],
  ])('at Azure from the version on that takes the option: %s', (version, asks) => {
    const raw = Buffer.from('{"stream":true}')
    const source = { ...SOURCE, path: '/openai/deployments/prod/chat/completions', query: `?api-version=${version}` }
    const metering = meteringFor('chat')
    const sent = metering.prepare(raw, metering.readCall(raw, source), { outputLimit: undefined, upstream: OPENAI })
    expect(sent.toString()).toBe(asks ? `{${ASK},"stream":true}` : '{"stream":true}')
  })

  test('never for responses and messages, whose streams always state it', () => {
    for (const endpoint of ['responses', 'messages']) {
      const body = '{"model":"m","stream":true,"input":"x"}'
      expect(prepare(endpoint, body, undefined, OPENAI)).toBe(body)
    }
  })
})

describe('the output limit is written under the right name, and not a byte besides changes', () => {
  test.each([
    ['chat', '{"model":"m" }', OPENAI, '{"max_completion_tokens":50,"model":"m" }'],
    [
      'chat',
      '{"model":"m" }',
      testUpstream('https://x.openai.azure.com/openai'),
      '{"max_completion_tokens":50,"model":"m" }',
    ],
    [
      'chat',
      '{"model":"m" }',
      testUpstream('https://eu.api.openai.com/v1'),
      '{"max_completion_tokens":50,"model":"m" }',
    ],
    ['chat', '{"model":"m" }', testUpstream('https://notapi.openai.com.example/v1'), '{"max_tokens":50,"model":"m" }'],
    ['chat', '{"model":"m" }', OTHER, '{"max_tokens":50,"model":"m" }'],
    [
      'chat',
      '{"model":"m"}',
      testUpstream('http://x/v1', { outputLimitParam: 'max_completion_tokens' }),
      '{"max_completion_tokens":50,"model":"m"}',
    ],
    ['chat', '{"model":"m","max_tokens": 400}', OPENAI, '{"model":"m","max_tokens": 50}'],
    [
      'chat',
      '{"max_completion_tokens":400,"model":"m","max_tokens":300}',
      OTHER,
      '{"max_completion_tokens":50,"model":"m","max_tokens":50}',
    ],
    [
      'chat',
      '{"max_completion_tokens":400,"model":"m","max_tokens":30}',
      OTHER,
      '{"max_completion_tokens":50,"model":"m","max_tokens":30}',
    ],
    ['chat', '{"model":"m","max_tokens":30}', OTHER, '{"model":"m","max_tokens":30}'],
    ['chat', '{"model":"m","n_predict":-1}', OTHER, '{"model":"m","n_predict":50}'],
    ['chat', '{"n_predict":-2,"model":"m","max_tokens":30}', OTHER, '{"n_predict":50,"model":"m","max_tokens":30}'],
    ['completions', '{"model":"m","prompt":"x","n_predict":-1}', OTHER, '{"model":"m","prompt":"x","n_predict":50}'],
    ['chat', '{"model":"m","max_completion_tokens":null}', OPENAI, '{"model":"m","max_completion_tokens":50}'],
    ['chat', '{"model":"m","n_predict":900}', OTHER, '{"model":"m","n_predict":50}'],
    ['responses', '{"model":"m","input":"é"}', OPENAI, '{"max_output_tokens":50,"model":"m","input":"é"}'],
    ['responses', '{"model":"m","max_output_tokens":4e2}', OPENAI, '{"model":"m","max_output_tokens":50}'],
    ['completions', '{"model":"m"}', OPENAI, '{"max_tokens":50,"model":"m"}'],
    ['messages', '{"model":"m","max_tok\\u0065ns":400}', OTHER, '{"model":"m","max_tok\\u0065ns":50}'],
    ['messages', '{"model":"m"}', OTHER, '{"max_tokens":50,"model":"m"}'],
    ['embeddings', '{"model":"m","input":"x"}', OPENAI, '{"model":"m","input":"x"}'],
  ] as const)('%s %s', (endpoint, before, upstream, after) => {
    expect(prepare(endpoint, before, 50, upstream)).toBe(after)
  })

  test('both edits at once', () => {
    expect(prepare('chat', '{"model":"m","stream":true,"max_tokens":90}', 7, OPENAI)).toBe(
      `{${ASK},"model":"m","stream":true,"max_tokens":7}`,
    )
  })

  test.each([
    ['chat', '{"model":"m"}', OPENAI, 'max_completion_tokens'],
    ['chat', '{"model":"m","max_tokens":1}', OPENAI, 'max_tokens'],
    ['chat', '{"model":"m"}', OTHER, 'max_tokens'],
    ['responses', '{"model":"m"}', OPENAI, 'max_output_tokens'],
    ['messages', '{"model":"m"}', OTHER, 'max_tokens'],
  ] as const)('and that name is told: %s %s', (endpoint, text, upstream, name) => {
    const metering = meteringFor(endpoint)
    expect(metering.outputLimitName(metering.readCall(Buffer.from(text), SOURCE), upstream)).toBe(name)
  })
})
