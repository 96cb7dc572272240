/** Recorded streams of Bedrock whose money ends at each token: what the client gets is whole frames that end as the format does. */
import { describe, expect, test } from 'vitest'
import { StreamMeter } from '../../src/meter/stream-meter.ts'
import { decodeFrames } from '../support/frames.ts'
import {
  answerHeadersOf,
  callOf,
  framingOf,
  haveRecordings,
  loadMetered,
  meteringOf,
  responseBody,
} from './recordings.ts'

const ALLOWANCE_MAX = 200
const streams = (await loadMetered()).filter((recording) => framingOf(recording) === 'aws_eventstream')

describe.skipIf(!haveRecordings)('a stream that is cut', () => {
  test.each(streams.map((recording) => [recording.id, recording] as const))('%s', async (_id, recording) => {
    const metering = meteringOf(recording)
    if (!metering) throw new Error('not metered')
    const call = await callOf(recording, metering)
    const body = responseBody(recording)
    let cuts = 0
    for (let allowance = 0; allowance <= ALLOWANCE_MAX; allowance++) {
      const reader = metering.createStreamReader(call, 'aws_eventstream', answerHeadersOf(recording))
      const meter = new StreamMeter(reader, { framing: 'aws_eventstream' })
      meter.allowance = allowance
      const passed = meter.push(body)
      if (!meter.blocked) break
      cuts++
      expect(meter.outputTokens).toBeLessThanOrEqual(allowance)
      const ending = meter.cutEnding() as Buffer
      const frames = decodeFrames(Buffer.concat([...passed, ending]))
      expect(frames.every((frame) => frame.kind === 'event')).toBe(true)
      const last = decodeFrames(ending)
      if (recording.endpoint === 'converse-stream') {
        expect(last.at(-2)).toMatchObject({ type: 'messageStop', payload: { stopReason: 'max_tokens' } })
        expect(last.at(-1)).toMatchObject({
          type: 'metadata',
          payload: { usage: { outputTokens: meter.outputTokens } },
        })
      } else {
        const chunk = JSON.parse(Buffer.from(last.at(-1)?.payload.bytes, 'base64').toString())
        expect(chunk['amazon-bedrock-invocationMetrics']).toMatchObject({ outputTokenCount: meter.outputTokens })
      }
    }
    expect(cuts).toBeGreaterThan(0)
  })
})
