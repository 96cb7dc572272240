import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StreamMeter } from '../../../src/meter/stream-meter.ts'
import { providers } from '../../../src/providers/registry.ts'
import { NO_HEADERS, SOURCE } from '../../support/call-source.ts'
import { RecordingReader } from './recording-reader.ts'

const WPT = resolve(import.meta.dirname, '../../../../shared/corpora/wpt-eventsource/cases.json')
const SEED = 20261123

interface Result {
  readonly bytes: string
  readonly terminal: string | undefined
  readonly after: string
  readonly events: RecordingReader['events']
  readonly meter: StreamMeter
}

function run(pieces: readonly Buffer[], options?: { readonly eventBytesMax?: number }): Result {
  const reader = new RecordingReader()
  const meter = new StreamMeter(reader, options)
  const out: Buffer[] = []
  for (const piece of pieces) out.push(...meter.push(piece))
  out.push(...meter.end())
  return {
    bytes: Buffer.concat(out).toString('latin1'),
    terminal: meter.terminal?.toString('latin1'),
    after: Buffer.concat(meter.takeAfterTerminal()).toString('latin1'),
    events: reader.events,
    meter,
  }
}

/** The stream in one piece, byte by byte, and cut in two at every place. */
function* everyCut(bytes: Buffer): Generator<Buffer[]> {
  yield [bytes]
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
}

describe('events are those that a browser would dispatch, and every byte passes, however they were cut', () => {
  const cases: { file: string; stream_b64: string; events: { type: string; data: string }[] | null }[] = existsSync(WPT)
    ? JSON.parse(readFileSync(WPT, 'utf8'))
    : []
  test.skipIf(cases.length === 0)('web-platform-tests', () => {
    for (const one of cases) {
      const bytes = Buffer.from(one.stream_b64, 'base64')
      // Without a byte of data there is nothing to read; a blank line must have ended the event.
      const expected = one.events?.filter((event) => event.data !== '')
      for (const pieces of everyCut(bytes)) {
        const reader = new RecordingReader()
        reader.passAll = true
        const meter = new StreamMeter(reader)
        const out = pieces.flatMap((piece) => [...meter.push(piece)])
        const read = reader.events.map((event) => ({ type: event.name || 'message', data: event.data }))
        // Some cases say nothing of events: there only the bytes count.
        if (expected) expect([one.file, read]).toEqual([one.file, expected.map(({ type, data }) => ({ type, data }))])
        out.push(...meter.end())
        expect(Buffer.concat(out).equals(bytes)).toBe(true)
      }
    }
    expect(cases.length).toBeGreaterThan(20)
  })

  test.each([
    [
      'LF',
      'event: a\ndata: 1\n\ndata: 2\n\n',
      [
        ['a', '1'],
        ['', '2'],
      ],
    ],
    [
      'CRLF',
      'event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n',
      [
        ['a', '1'],
        ['', '2'],
      ],
    ],
    [
      'CR',
      'event: a\rdata: 1\r\rdata: 2\r\r',
      [
        ['a', '1'],
        ['', '2'],
      ],
    ],
    [
      'mixed',
      'event: a\r\ndata: 1\n\rdata: 2\r\r\ndata: 3\n\n',
      [
        ['a', '1'],
        ['', '2'],
        ['', '3'],
      ],
    ],
    ['a byte order mark', '\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n', [['', '1']]],
    ['comments', ': hi\n\ndata: 1\n: data: no\n\n:\n\n', [['', '1']]],
    [
      'no blank behind the colon',
      'data:1\n\ndata:  2\n\n',
      [
        ['', '1'],
        ['', ' 2'],
      ],
    ],
    ['several lines', 'data: 1\ndata\ndata: 2\n\n', [['', '1\n\n2']]],
    ['fields like data', 'database: 1\ndat: 2\ndata2: 3\n\n', []],
    ['HTML', '<html>\n<p>\n\n', []],
    [
      'bare JSON, which is an error',
      '{"error":{}}\n\n{\n  "error": {}\n}\n',
      [
        ['', '{"error":{}}\n\n'],
        ['', '{\n  "error": {}\n}\n'],
      ],
    ],
    ['blank lines in a row', '\n\n\ndata: 1\n\n\n\n', [['', '1']]],
    [
      'an end without a blank line',
      'data: 1\n\ndata: 2',
      [
        ['', '1'],
        ['', '2'],
      ],
    ],
  ] as const)('%s', (_name, text, expected) => {
    for (const pieces of everyCut(Buffer.from(text, 'latin1'))) {
      const result = run(pieces)
      expect(result.events.map((event) => [event.name, event.data])).toEqual(expected)
      expect(result.bytes).toBe(text)
    }
  })
})

describe('verdicts', () => {
  const text = 'data: 1\r\n\r\ndata: drop\r\n\r\ndata: 2\r\n\r\ndata: end\r\n\r\ndata: more\r\n\r\n: bye'

  test('what is dropped goes, line ends and all; the terminal event and what follows are kept apart', () => {
    for (const pieces of everyCut(Buffer.from(text))) {
      const result = run(pieces)
      expect(result.bytes).toBe('data: 1\r\n\r\ndata: 2\r\n\r\n')
      // A line feed that comes late goes behind the event: the order of the bytes stays.
      expect(`${result.terminal}${result.after}`).toBe('data: end\r\n\r\ndata: more\r\n\r\n: bye')
      expect(result.terminal?.startsWith('data: end\r\n\r')).toBe(true)
      expect(result.events.map((event) => event.data)).toEqual(['1', 'drop', '2', 'end'])
    }
  })

  test('an unfinished last event is judged too', () => {
    expect(run([Buffer.from('data: 1\n\ndata: drop')]).bytes).toBe('data: 1\n\n')
    expect(run([Buffer.from('data: 1\n\ndata: end')]).terminal).toBe('data: end')
  })

  test('events that pass in a row are handed on as one part of the chunk, not copied', () => {
    const chunk = Buffer.from('data: 1\n\ndata: 2\n\ndata: 3\n\nda')
    const meter = new StreamMeter(new RecordingReader())
    const out = meter.push(chunk)
    expect(out).toHaveLength(1)
    expect(out[0]?.buffer).toBe(chunk.buffer)
    expect(out[0]?.byteOffset).toBe(chunk.byteOffset)
    expect(out[0]?.toString()).toBe('data: 1\n\ndata: 2\n\ndata: 3\n\n')
  })

  test('a reader that throws costs accuracy, not bytes', () => {
    const result = run([Buffer.from('data: throw\n\ndata: 1\n\n')])
    expect(result.bytes).toBe('data: throw\n\ndata: 1\n\n')
    expect(result.events.map((event) => event.data)).toEqual(['throw', '1'])
    expect(result.meter.unread).toBe(true)
  })
})

describe('allowance', () => {
  const text = 'data: text:3\n\ndata: text:4\n\ndata: x\n\ndata: text:5\n\ndata: end\n\n'

  test('an event that would go beyond it is kept back with all that follows, until it is raised', () => {
    for (const pieces of everyCut(Buffer.from(text))) {
      const meter = new StreamMeter(new RecordingReader())
      meter.allowance = 7
      let out = pieces.flatMap((piece) => [...meter.push(piece)])
      expect(Buffer.concat(out).toString()).toBe('data: text:3\n\ndata: text:4\n\ndata: x\n\n')
      expect(meter.blocked).toBe(true)
      expect(meter.outputTokens).toBe(7)
      expect(meter.terminal).toBeUndefined()
      expect(meter.resume()).toEqual([])
      expect(meter.blocked).toBe(true)
      meter.allowance = 12
      out = [...out, ...meter.resume(), ...meter.end()]
      expect(meter.blocked).toBe(false)
      expect(Buffer.concat(out).toString()).toBe(text.replace('data: end\n\n', ''))
      expect(meter.terminal?.toString()).toBe('data: end\n\n')
      expect(meter.outputTokens).toBe(12)
    }
  })

  test('an end that comes while blocked is kept for later', () => {
    const meter = new StreamMeter(new RecordingReader())
    meter.allowance = 1
    const out = [...meter.push(Buffer.from('data: text:2\n\ndata: text:3')), ...meter.end()]
    expect(out).toEqual([])
    meter.allowance = 2
    expect(Buffer.concat(meter.resume()).toString()).toBe('data: text:2\n\n')
    expect(meter.blocked).toBe(true)
    meter.allowance = 5
    expect(Buffer.concat(meter.resume()).toString()).toBe('data: text:3')
    expect(meter.blocked).toBe(false)
  })

  test('nothing is held back where no text is', () => {
    const meter = new StreamMeter(new RecordingReader())
    meter.allowance = 0
    expect(Buffer.concat(meter.push(Buffer.from('data: x\n\n: c\n\ndata: end\n\n'))).toString()).toBe(
      'data: x\n\n: c\n\n',
    )
    expect(meter.terminal?.toString()).toBe('data: end\n\n')
  })
})

describe('a stream that broke off in an event', () => {
  const broken = (rest: string): { bytes: string; unread: boolean } => {
    const reader = new RecordingReader()
    reader.endsByFraming = false
    const meter = new StreamMeter(reader)
    const out = [...meter.push(Buffer.from(`data: 1\n\n${rest}`)), ...meter.end()]
    return { bytes: Buffer.concat(out).toString().slice(9), unread: meter.unread }
  }

  test('leaves half an event out, so that the error event that follows is read', () => {
    expect(broken('data: {"choices":[{"delta":{"con')).toEqual({ bytes: '', unread: true })
  })

  test.each([['data:'], ['event: message_delta\n'], ['event: message_delta\ndata']])(
    'leaves a field without its value out: %s',
    (rest) => {
      expect(broken(rest)).toEqual({ bytes: '', unread: true })
    },
  )

  test.each([['data: {"whole":true}'], ['{"error":{"message":"no data field"}}'], ['<html>busy</html>\n']])(
    'closes what it passes: %s',
    (rest) => {
      expect(broken(rest)).toEqual({ bytes: `${rest}\n\n`, unread: false })
    },
  )

  test('changes nothing where the answer was finished', () => {
    const reader = new RecordingReader()
    reader.endsByFraming = false
    reader.finished = true
    const meter = new StreamMeter(reader)
    expect(Buffer.concat([...meter.push(Buffer.from('data: {"half')), ...meter.end()]).toString()).toBe('data: {"half')
  })
})

describe('an event beyond the bound', () => {
  test('passes unread, and the next ones are read again', () => {
    const large = `data: ${'x'.repeat(100)}\n`
    const text = `data: 1\n\n${large}${large}\ndata: drop\n\ndata: 2\n\n`
    for (const step of [1, 7, 50, 80]) {
      const bytes = Buffer.from(text)
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step))
      const result = run(pieces, { eventBytesMax: 90 })
      expect(result.bytes).toBe(text.replace('data: drop\n\n', ''))
      expect(result.events.map((event) => event.data)).toEqual(['1', '', 'drop', '2'])
      expect(result.meter.unread).toBe(true)
    }
  })

  test.each([
    [
      'openai',
      '/v1/responses',
      {
        type: 'response.completed',
        response: {
          output: [{ result: 'A'.repeat(3_000_000) }],
          usage: { input_tokens: 5, output_tokens: 7, output_tokens_details: { reasoning_tokens: 2 } },
          user: null,
        },
      },
    ],
    [
      'openai',
      '/v1/chat/completions',
      {
        choices: [{ delta: { images: ['A'.repeat(3_000_000)] } }],
        usage: { prompt_tokens: 5, completion_tokens: 7, completion_tokens_details: { reasoning_tokens: 2 } },
      },
    ],
  ] as const)('still says its usage: %s %s', (format, path, data) => {
    const metering = providers.get(format)?.match('POST', path)?.operation.metering
    if (!metering) throw new Error(path)
    const call = metering.readCall(Buffer.from('{"model":"m","stream":true}'), SOURCE)
    const bytes = Buffer.from(`event: ${'type' in data ? data.type : 'message'}\ndata: ${JSON.stringify(data)}\n\n`)
    for (const step of [1000, 65_536, 2_000_000]) {
      const meter = new StreamMeter(metering.createStreamReader(call, 'sse', NO_HEADERS))
      const out: Buffer[] = []
      for (let at = 0; at < bytes.length; at += step) out.push(...meter.push(bytes.subarray(at, at + step)))
      if (meter.terminal) out.push(meter.terminal)
      expect(Buffer.concat(out).equals(bytes)).toBe(true)
      expect(meter.facts.usage?.tokens).toEqual({ input: 5, output: 7 })
      expect(meter.facts.usage?.reasoning).toBe(2)
    }
  })

  test('a line of 64 MiB passes in bounded memory', () => {
    const meter = new StreamMeter(new RecordingReader())
    const chunk = Buffer.alloc(64 * 1024, 'x')
    let passed = meter.push(Buffer.from('data: ')).reduce((sum, part) => sum + part.length, 0)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 1024; i++) for (const part of meter.push(chunk)) passed += part.length
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1024 * 1024)
    for (const part of meter.push(Buffer.from('\n\ndata: 1\n\n'))) passed += part.length
    expect(passed).toBe(6 + 64 * 1024 * 1024 + 2 + 9)
    expect(meter.unread).toBe(true)
  })
})

test(`random bytes pass whole, whatever the provider and the cuts (seed ${SEED})`, () => {
  const metering = (format: 'openai' | 'anthropic', path: string) =>
    providers.get(format)?.match('POST', path)?.operation.metering
  const all = [
    metering('openai', '/v1/chat/completions'),
    metering('openai', '/v1/completions'),
    metering('openai', '/v1/responses'),
    metering('anthropic', '/v1/messages'),
  ]
  const request = Buffer.from('{"model":"m","stream":true,"input":"x"}')
  const words = [
    'data: ',
    'data:',
    'event: ',
    'event: error',
    'event: message_delta',
    'event: response.completed',
    '\n',
    '\n\n',
    '\r\n',
    '\r',
    ': c',
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ',',
    ':',
    '"usage":{',
    '"usage":null',
    '"prompt_tokens":',
    '-1',
    '1e999',
    'null',
    '"choices":[]',
    '"delta":{"content":"',
    '"type":"response.output_item.added"',
    '"output_index":',
    '"item":{',
    '"finish_reason":"',
    '\u00e9',
    '☕',
    '\\ud800',
    '{"type":"message_delta","usage":{"output_tokens":"9"}}',
    '{"response":{"output":[null,1],"usage":{"input_tokens":1.5}}}',
    '{"choices":[null,{"index":-1,"finish_reason":"x"}],"usage":[]}',
  ]
  const soup = fc.array(
    fc.oneof(
      fc.constantFrom(...words).map((word) => Buffer.from(word)),
      fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(soup, fc.integer({ min: 1, max: 9 }), fc.constantFrom(...all), (parts, step, one) => {
      if (!one) throw new Error('no metering')
      const bytes = Buffer.concat(parts)
      const call = one.readCall(request, SOURCE)
      const reader = one.createStreamReader(call, 'sse', NO_HEADERS)
      const meter = new StreamMeter(reader, { eventBytesMax: 64 })
      const out: Buffer[] = []
      for (let at = 0; at < bytes.length; at += step) out.push(...meter.push(bytes.subarray(at, at + step)))
      const last = meter.end()
      if (meter.terminal) out.push(meter.terminal)
      out.push(...meter.takeAfterTerminal())
      // Nothing was prepared, so no usage chunk is ours and nothing is dropped; half an event at the end may be left out.
      const passed = Buffer.concat(out)
      const whole = Buffer.concat([passed, ...last])
      expect(bytes.subarray(0, passed.length).equals(passed)).toBe(true)
      if (last.length > 0) expect(whole.subarray(0, bytes.length).equals(bytes)).toBe(true)
      else if (passed.length < bytes.length) {
        expect(bytes.length - passed.length).toBeLessThanOrEqual(64)
        expect(meter.unread).toBe(true)
      }
      expect(meter.outputTokens).toBeGreaterThanOrEqual(0)
      expect(reader.cutEnding().length).toBeGreaterThan(0)
      const tokens = Object.values(meter.facts.usage?.tokens ?? {})
      expect(tokens.every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true)
    }),
    { seed: SEED, numRuns: 4000 },
  )
})
