/** An ending of ours behind a stream that was cut anywhere: what the caller has is well-formed, in every format. */
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { describe, expect, test } from 'vitest'
import { errorFacts } from '../../../src/errors.ts'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import type { Framing } from '../../../src/providers/provider.ts'
import { randomFrom } from '../../model/random.ts'
import { NO_HEADERS } from '../../support/call-source.ts'
import { SEEDS, type Seed } from './fuzz-events.ts'
import { type FuzzedOperation, fuzzedOperations } from './fuzz-operations.ts'
import { toStream } from './mutate.ts'

const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const ROUNDS = 60
const ERROR = errorFacts('insufficient_funds', 'The wallet is empty ☕.', 'req_1', { rule: 'funds' })
const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
)

/** Events of a stream as its framing has them; throws where it is broken. */
function events(framing: Framing, bytes: Buffer): unknown[] {
  switch (framing) {
    case 'sse':
      return bytes
        .toString()
        .replaceAll(/\r\n|\r/g, '\n')
        .split('\n\n')
        .map((event) => event.split('\n').filter((line) => line.startsWith('data:')))
        .filter((lines) => lines.length > 0)
        .map((lines) => lines.map((line) => line.slice(5).trim()).join('\n'))
        .map((data) => (data === '[DONE]' ? data : JSON.parse(data)))
    case 'ndjson':
      return bytes
        .toString()
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map((line) => JSON.parse(line))
    case 'json_array':
      return JSON.parse(bytes.toString()) as unknown[]
    case 'aws_eventstream': {
      const found: unknown[] = []
      for (let at = 0; at < bytes.length; ) {
        const length = bytes.readUInt32BE(at)
        const { body } = codec.decode(bytes.subarray(at, at + length))
        found.push(body.length > 0 ? JSON.parse(Buffer.from(body).toString()) : undefined)
        at += length
      }
      return found
    }
  }
}

/** Google and Cohere have server-sent events beside their own. */
function ownFramings({ format, metering }: FuzzedOperation): readonly Framing[] {
  const own = metering.framing ?? 'sse'
  return own !== 'sse' && (format === 'gemini' || format === 'vertex' || format === 'cohere') ? [own, 'sse'] : [own]
}

/** Those that close no stream: what follows an end is no cut. */
const isOpen = ([name, json]: Seed): boolean =>
  json !== '[DONE]' && !/stop|complete|done":true|finish_?reason":"|error|exception|end|%%%/i.test(name + json)

const operations = fuzzedOperations()

describe(`what was handed on and the ending are whole together (FUZZ_SEED=${SEED})`, () => {
  test.each(
    operations
      .filter((one) => one.call.stream)
      .flatMap((one) => ownFramings(one).map((framing) => [one.name, framing, one] as const)),
  )('%s, %s', (_name, framing, { format, metering, call }) => {
    const random = randomFrom(SEED)
    const seeds = SEEDS[format].filter(isOpen)
    for (let round = 0; round < ROUNDS; round++) {
      const stream = toStream(
        Array.from({ length: 1 + random.below(6) }, () => random.pick(seeds)),
        framing,
        random,
      )
      const cut = stream.subarray(0, random.below(stream.length + 1))
      for (const kind of ['cutEnding', 'errorEvent'] as const) {
        const reader = metering.createStreamReader(call, framing, NO_HEADERS)
        const meter = new StreamMeter(reader, { framing })
        const out = [...meter.push(cut)]
        // A checksum that was made wrong.
        if (meter.unread) continue
        if (kind === 'errorEvent') out.push(...meter.end(false))
        // The upstream's own end.
        if (meter.terminal || reader.failed || reader.finished) continue
        const before = events(framing, placed(framing, Buffer.concat(out))).length
        const ending = kind === 'cutEnding' ? meter.cutEnding() : meter.errorEvent(ERROR)
        const all = events(framing, Buffer.concat([...out, ending ?? Buffer.alloc(0)]))
        expect(ending).toBeDefined()
        expect(all.length).toBeGreaterThanOrEqual(before)
        if (kind === 'errorEvent') expect(JSON.stringify(all.at(-1))).toContain('The wallet is empty ☕.')
      }
    }
  })
})

/** An array that is still open, closed, so that it can be read. */
function placed(framing: Framing, bytes: Buffer): Buffer {
  if (framing !== 'json_array') return bytes
  return Buffer.from(bytes.length === 0 || bytes.toString().trim() === '' ? '[]' : `${bytes.toString()}]`)
}
