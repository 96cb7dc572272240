/** Google's streams as readers see them: what is delivered, what ends them, how ours end, and that nothing breaks them. */
import { type GenerateContentResponse, GoogleGenAI } from '@google/genai'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import { generateContentMetering } from '../../../src/providers/generate-content/generate-content.ts'
import { readGenerateUsage } from '../../../src/providers/generate-content/generate-content-usage.ts'
import { googleErrorBody } from '../../../src/providers/generate-content/google-error.ts'
import { interactionsMetering } from '../../../src/providers/generate-content/interactions.ts'
import { readInteractionUsage } from '../../../src/providers/generate-content/interactions-usage.ts'
import { predictMetering } from '../../../src/providers/generate-content/predict.ts'
import type { Framing } from '../../../src/providers/provider.ts'
import { NO_HEADERS } from '../../support/call-source.ts'

const PATH = '/v1beta/models/gemini-2.5-flash:streamGenerateContent'
const CALL = generateContentMetering.readCall(Buffer.from('{"contents":[{"parts":[{"text":"Hi"}]}]}'), {
  path: PATH,
  query: '',
  headers: {},
  jsonDepth: 128,
})
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty.', 'req_1', { rule: 'funds', retryAfterSeconds: 7 })

const text = (value: string, more: object = {}) => ({
  candidates: [{ content: { parts: [{ text: value }], role: 'model' }, ...more }],
  modelVersion: 'gemini-2.5-flash',
  responseId: 'r1',
})
const usage = (candidates: number, thoughts = 0) => ({
  usageMetadata: {
    promptTokenCount: 5,
    candidatesTokenCount: candidates,
    ...(thoughts ? { thoughtsTokenCount: thoughts } : {}),
  },
})

function bodyOf(chunks: readonly object[], framing: Framing): Buffer {
  const json = chunks.map((chunk) => JSON.stringify(chunk))
  return Buffer.from(
    framing === 'sse' ? json.map((one) => `data: ${one}\r\n\r\n`).join('') : `[${json.join(',\r\n')}\n]`,
  )
}

function fed(chunks: readonly object[], framing: Framing = 'sse', allowance = Number.POSITIVE_INFINITY) {
  const reader = generateContentMetering.createStreamReader(CALL, framing, NO_HEADERS)
  const meter = new StreamMeter(reader, { framing })
  meter.allowance = allowance
  const out = [...meter.push(bodyOf(chunks, framing))]
  if (!meter.blocked) out.push(...meter.end())
  return { meter, reader, out: Buffer.concat(out).toString() }
}

describe('what was delivered is counted until the provider says it', () => {
  test.each([
    ['one token of text', [text('Hello')], 1],
    ['a word a chunk', [text(' one'), text(' two'), text(' three')], 3],
    ['what the last chunk states', [text(' one'), { ...text(' two'), ...usage(40, 60) }], 100],
    [
      'less than was stated before',
      [
        { ...text('x'), ...usage(145) },
        { ...text('y'), ...usage(85) },
      ],
      85,
    ],
    ['text after the last statement', [{ ...text('x'), ...usage(20) }, text(' more')], 21],
    ['a prompt alone states no output', [{ ...text(' one'), usageMetadata: { promptTokenCount: 9 } }], 1],
  ])('%s', (_name, chunks, tokens) => {
    for (const framing of ['sse', 'json_array'] as const) expect(fed(chunks, framing).meter.outputTokens).toBe(tokens)
  })

  test('a call’s arguments, code, pictures and speech count too', () => {
    const part = (value: object) => [{ candidates: [{ content: { parts: [value] } }] }]
    expect(
      fed(part({ functionCall: { name: 'weather', args: { city: 'Paris, France' } } })).meter.outputTokens,
    ).toBeGreaterThan(4)
    expect(
      fed(part({ executableCode: { language: 'PYTHON', code: 'print(1 + 1) # and so on' } })).meter.outputTokens,
    ).toBeGreaterThan(4)
    expect(fed(part({ inlineData: { mimeType: 'image/png', data: 'AAAA'.repeat(9000) } })).meter.outputTokens).toBe(
      1290,
    )
    const second = 64_000
    const speech = fed(part({ inlineData: { mimeType: 'audio/L16;rate=24000', data: 'A'.repeat(second) } })).meter
    expect(speech.outputTokens).toBe(25)
    expect(fed(part({ thoughtSignature: 'A'.repeat(5000) })).meter.outputTokens).toBe(0)
  })

  test('a slice that is used up keeps back the chunk that would go beyond it', () => {
    const chunks = [
      { ...text('a'), ...usage(10) },
      { ...text('b'), ...usage(30) },
      { ...text('c'), ...usage(60) },
    ]
    const { meter, out } = fed(chunks, 'sse', 35)
    expect(meter.blocked).toBe(true)
    expect(meter.outputTokens).toBe(30)
    expect(out).not.toContain('"c"')
  })
})

describe('how a stream ended', () => {
  test.each([
    ['a finish reason', [text('x', { finishReason: 'STOP' })], { finished: true, failed: false }],
    ['the number of one', [text('x', { finishReason: 2 })], { finished: true, failed: false }],
    ['none', [text('x')], { finished: false, failed: false }],
    [
      'one that says nothing',
      [text('x', { finishReason: 'FINISH_REASON_UNSPECIFIED' })],
      { finished: false, failed: false },
    ],
    ['a prompt that was refused', [{ promptFeedback: { blockReason: 'SAFETY' } }], { finished: true, failed: false }],
    [
      'an error',
      [text('x'), { error: { code: 503, message: 'no', status: 'UNAVAILABLE' } }],
      { finished: false, failed: true },
    ],
    ['words in the text', [text('"finishReason":"STOP","error":{}')], { finished: false, failed: false }],
  ])('%s', (_name, chunks, expected) => {
    const { meter } = fed(chunks)
    expect({ finished: meter.finished, failed: meter.failed }).toEqual(expected)
  })

  test('an array ends with its bracket, which is kept back', () => {
    const { meter, out } = fed([text('x', { finishReason: 'STOP' })], 'json_array')
    expect(meter.terminal?.toString().trim()).toBe(']')
    expect(out).not.toContain('\n]')
  })

  test('a chunk too large to be kept is read by its end', () => {
    const large = text('x'.repeat(50), { finishReason: 'STOP' })
    const chunk = {
      candidates: [{ content: { parts: [{ inlineData: { data: 'A'.repeat(2_000_000) } }] }, finishReason: 'STOP' }],
      ...usage(1290),
    }
    const { meter } = fed([large, chunk])
    expect(meter.facts.usage?.tokens).toEqual({ input: 5, output: 1290 })
    expect(meter.finished).toBe(true)
  })
})

describe('the endings of ours are read by the official client', () => {
  async function read(body: string): Promise<GenerateContentResponse[]> {
    vi.stubGlobal('fetch', async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }))
    const { models } = new GoogleGenAI({ apiKey: 'k' })
    const chunks: GenerateContentResponse[] = []
    for await (const chunk of await models.generateContentStream({ model: 'm', contents: 'Hi' })) chunks.push(chunk)
    return chunks
  }
  afterEach(() => vi.unstubAllGlobals())

  test('a cut: every open candidate stops for its length, with our count', async () => {
    const two = { ...text('b', { index: 1 }), ...usage(6, 4) }
    const { reader, out } = fed([text('a'), two])
    const chunks = await read(out + reader.cutEnding().toString())
    const last = chunks.at(-1)
    expect(last?.candidates).toMatchObject([
      { index: 0, finishReason: 'MAX_TOKENS' },
      { index: 1, finishReason: 'MAX_TOKENS' },
    ])
    expect(last?.usageMetadata).toEqual({
      promptTokenCount: 5,
      candidatesTokenCount: 6,
      thoughtsTokenCount: 4,
      totalTokenCount: 15,
    })
    expect(last?.responseId).toBe('r1')
  })

  test('a cut leaves a candidate alone that has had its last word', () => {
    const { reader } = fed([text('a', { finishReason: 'STOP' }), text('b', { index: 1 })])
    const json = JSON.parse(reader.cutEnding().toString().slice(6)) as { candidates: object[] }
    expect(json.candidates).toMatchObject([{ index: 1 }])
  })

  test('an error: it throws with our status', async () => {
    const { reader, out } = fed([text('a')])
    await expect(read(out + reader.errorEvent(ERROR).toString())).rejects.toMatchObject({
      name: 'ApiError',
      status: 402,
    })
  })

  test.each([
    ['nothing', '', 0],
    ['the bracket', '[', 0],
    ['an element', `[${JSON.stringify(text('a'))}`, 1],
    ['an element and a comma', `[${JSON.stringify(text('a'))},\r\n`, 1],
  ])('in an array both are elements, where %s had come', (_name, begun, elements) => {
    const meter = new StreamMeter(generateContentMetering.createStreamReader(CALL, 'json_array', NO_HEADERS), {
      framing: 'json_array',
    })
    const out = Buffer.concat([...meter.push(Buffer.from(begun))]).toString()
    const cut = JSON.parse(out + String(meter.cutEnding())) as object[]
    expect(cut).toHaveLength(elements + 1)
    expect(cut.at(-1)).toMatchObject({ candidates: [{ finishReason: 'MAX_TOKENS' }] })
    const failed = JSON.parse(out + String(meter.errorEvent(ERROR))) as object[]
    expect(failed.at(-1)).toMatchObject({ error: { code: 402, tollgate: { code: 'insufficient_funds' } } })
  })
})

test('a refusal is in Google’s words, in an array where the answer would have been one', () => {
  const body = {
    error: {
      code: 402,
      message: 'The wallet is empty.',
      status: 'RESOURCE_EXHAUSTED',
      details: [
        { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'insufficient_funds', domain: 'tollgate' },
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '7s' },
      ],
      tollgate: expect.objectContaining({ code: 'insufficient_funds', request_id: 'req_1' }) as unknown,
    },
  }
  for (const target of [undefined, `${PATH}?alt=sse`, `/u/g${PATH}?key=k&alt=sse`, '/v1beta/models/m:generateContent'])
    expect(JSON.parse(googleErrorBody(ERROR, target).body)).toEqual(body)
  for (const target of [PATH, `${PATH}?key=k`, `/u/g${PATH}`])
    expect(JSON.parse(googleErrorBody(ERROR, target).body)).toEqual([body])
})

describe('whatever comes, nothing throws and no count is odd', () => {
  const nonsense = fc.oneof(
    fc.json(),
    fc.string(),
    fc.constantFrom('{"candidates":[', '"usageMetadata":{', '}]', '\\u', '"', '{"error":', 'data:', '\n\n'),
  )
  const sane = (tokens: Readonly<Record<string, number | undefined>> | undefined): void => {
    for (const count of Object.values(tokens ?? {})) {
      expect(Number.isInteger(count)).toBe(true)
      expect(count).toBeGreaterThanOrEqual(0)
    }
  }

  test('chunks', () => {
    fc.assert(
      fc.property(fc.array(nonsense, { maxLength: 12 }), fc.constantFrom('sse', 'json_array'), (pieces, framing) => {
        for (const metering of [generateContentMetering, interactionsMetering]) {
          const call = { ...CALL, parsed: { stored: true } }
          const meter = new StreamMeter(metering.createStreamReader(call, framing as Framing, NO_HEADERS), {
            framing: framing as Framing,
          })
          for (const piece of pieces) meter.push(Buffer.from(framing === 'sse' ? `data: ${piece}\n\n` : piece))
          meter.end()
          sane(meter.facts.usage?.tokens)
          expect(meter.outputTokens).toBeGreaterThanOrEqual(0)
          meter.cutEnding()
          meter.errorEvent(ERROR)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('usage and whole answers', () => {
    const names = [
      'promptTokenCount',
      'candidatesTokenCount',
      'thoughtsTokenCount',
      'cachedContentTokenCount',
      'toolUsePromptTokenCount',
      'totalTokenCount',
      'promptTokensDetails',
      'cacheTokensDetails',
      'candidatesTokensDetails',
      'total_input_tokens',
      'total_cached_tokens',
      'total_output_tokens',
      'grounding_tool_count',
    ]
    const detail = fc.record({
      modality: fc.constantFrom('TEXT', 'AUDIO', 'IMAGE', 'VIDEO', 2, 9, null),
      tokenCount: fc.oneof(fc.integer(), fc.double(), fc.string()),
    })
    const value = fc.oneof(fc.integer(), fc.nat(), fc.double(), fc.anything(), fc.array(detail))
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), fc.anything(), (stated, anything) => {
        sane(readGenerateUsage(stated)?.tokens)
        sane(readInteractionUsage(stated, 'gemini-3-flash')?.tokens)
        for (const metering of [generateContentMetering, interactionsMetering, predictMetering]) {
          const members = Object.fromEntries(metering.jsonMembers.map((member) => [member, anything]))
          const call = { ...CALL, parsed: { stored: true } }
          const facts = metering.readJson({ ...members, usageMetadata: stated, usage: stated }, call, NO_HEADERS)
          sane(facts.usage?.tokens)
          sane(facts.usage?.units)
        }
      }),
      { numRuns: 500 },
    )
  })
})
