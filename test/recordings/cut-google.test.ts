/** Google's recorded streams, cut when the money ends, as the official client (or a reader of the JSON array) sees them. */
import { type GenerateContentResponse, GoogleGenAI } from '@google/genai'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { StreamMeter } from '../../src/meter/stream-meter.ts'
import {
  answerHeadersOf,
  callOf,
  framingOf,
  loadMetered,
  meteringOf,
  type Recording,
  responseBody,
} from './recordings.ts'

const ALLOWANCES = [0, 1, 5, 40, 300]
const recordings = (await loadMetered()).filter(
  ({ provider, streamFormat, response }) =>
    ['gemini', 'vertex'].includes(provider) && streamFormat !== null && response.status === 200,
)

/** What a caller gets of a stream that is cut after `allowance` tokens; undefined where it never had to be cut. */
function cut(
  recording: Recording,
  allowance: number,
): { readonly bytes: string; readonly outputTokens: number } | undefined {
  const metering = meteringOf(recording)
  if (!metering) throw new Error(recording.id)
  const framing = framingOf(recording)
  const reader = metering.createStreamReader(callOf(recording, metering), framing, answerHeadersOf(recording))
  const meter = new StreamMeter(reader, { framing })
  meter.allowance = allowance
  const out = [...meter.push(responseBody(recording))]
  if (!meter.blocked) return undefined
  expect(meter.outputTokens).toBeLessThanOrEqual(allowance)
  out.push(meter.cutEnding() as Buffer)
  return { bytes: Buffer.concat(out).toString(), outputTokens: meter.outputTokens }
}

async function contentChunks(bytes: string): Promise<GenerateContentResponse[]> {
  vi.stubGlobal('fetch', async () => new Response(bytes, { headers: { 'content-type': 'text/event-stream' } }))
  const chunks: GenerateContentResponse[] = []
  const { models } = new GoogleGenAI({ apiKey: 'k' })
  for await (const chunk of await models.generateContentStream({ model: 'm', contents: 'Hi' })) chunks.push(chunk)
  return chunks
}

const READERS: Readonly<Record<string, (recording: Recording, bytes: string, outputTokens: number) => Promise<void>>> =
  {
    async streamGenerateContent(recording, bytes, outputTokens) {
      const chunks =
        framingOf(recording) === 'sse' ? await contentChunks(bytes) : (JSON.parse(bytes) as GenerateContentResponse[])
      const last = chunks.at(-1)
      expect(last?.candidates?.[0]?.finishReason).toBe('MAX_TOKENS')
      const { candidatesTokenCount = 0, thoughtsTokenCount = 0 } = last?.usageMetadata ?? {}
      expect(candidatesTokenCount + thoughtsTokenCount).toBe(outputTokens)
      if (chunks.length > 1) expect(last?.responseId).toBe(chunks[0]?.responseId)
    },
    async interactions(_recording, bytes) {
      vi.stubGlobal('fetch', async () => new Response(bytes, { headers: { 'content-type': 'text/event-stream' } }))
      const stream = await new GoogleGenAI({ apiKey: 'k' }).interactions.create({
        model: 'm',
        input: 'Hi',
        stream: true,
      })
      const events = []
      for await (const event of stream) events.push(event)
      expect(events.at(-1)).toMatchObject({
        event_type: 'interaction.completed',
        interaction: { status: 'incomplete' },
      })
      const started = events.filter((event) => event.event_type === 'step.start').length
      expect(events.filter((event) => event.event_type === 'step.stop')).toHaveLength(started)
    },
  }

afterEach(() => vi.unstubAllGlobals())

describe.skipIf(recordings.length === 0)('a cut stream is a normal answer that stopped for its length', () => {
  test.each(recordings.map((recording) => [recording.id, recording] as const))('%s', async (_id, recording) => {
    for (const allowance of ALLOWANCES) {
      const made = cut(recording, allowance)
      if (made) await READERS[recording.endpoint]?.(recording, made.bytes, made.outputTokens)
    }
  })

  test('streams of each framing and endpoint had to be cut', () => {
    const kinds = new Set(recordings.filter((one) => cut(one, 0)).map((one) => `${one.endpoint} ${framingOf(one)}`))
    expect([...kinds].toSorted()).toEqual([
      'interactions sse',
      'streamGenerateContent json_array',
      'streamGenerateContent sse',
    ])
  })
})
