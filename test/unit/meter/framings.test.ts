/** Streams that are not server-sent events: lines, JSON arrays in pieces, Amazon's frames. */
import { crc32 } from 'node:zlib'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { describe, expect, test } from 'vitest'
import { StreamMeter, type StreamMeterOptions } from '../../../src/meter/stream-meter.ts'
import { encodeFrame, eventFrame, exceptionFrame } from '../../../src/providers/event-frame.ts'
import type { Framing } from '../../../src/providers/provider.ts'
import { RecordingReader } from './recording-reader.ts'

interface Result {
  readonly bytes: string
  readonly terminal: string | undefined
  readonly after: string
  readonly events: readonly (readonly [string, string])[]
  readonly meter: StreamMeter
}

function run(framing: Framing, pieces: readonly Buffer[], options: StreamMeterOptions = {}, whole = true): Result {
  const reader = new RecordingReader()
  reader.endsByFraming = whole
  const meter = new StreamMeter(reader, { framing, ...options })
  const out: Buffer[] = []
  for (const piece of pieces) out.push(...meter.push(piece))
  out.push(...meter.end())
  return {
    bytes: Buffer.concat(out).toString('latin1'),
    terminal: meter.terminal?.toString('latin1'),
    after: Buffer.concat(meter.takeAfterTerminal()).toString('latin1'),
    events: reader.events.map((event) => [event.name, event.data] as const),
    meter,
  }
}

/** The stream in one piece, byte by byte, and cut in two at every place. */
function* everyCut(bytes: Buffer): Generator<Buffer[]> {
  yield [bytes]
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
}

const frames = (...payloads: readonly string[]): Buffer =>
  Buffer.concat(
    payloads.map((payload) => encodeFrame({ ':event-type': 'e', ':message-type': 'event' }, Buffer.from(payload))),
  )

describe('lines', () => {
  test.each([
    ['LF', '{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']],
    ['CRLF', '{"a":1}\r\n{"b":2}\r\n', ['{"a":1}', '{"b":2}']],
    ['blank lines', '\n{"a":1}\n\n \r\n{"b":2}', ['{"a":1}', '{"b":2}']],
    ['no last line end', '{"a":1}\n{"b":2}', ['{"a":1}', '{"b":2}']],
    ['a byte order mark', '\xef\xbb\xbf{"a":1}\n', ['{"a":1}']],
    ['no JSON', '<html>\nbusy\n', ['<html>', 'busy']],
  ])('%s: each is an event, and every byte passes', (_name, text, expected) => {
    for (const pieces of everyCut(Buffer.from(text, 'latin1'))) {
      const result = run('ndjson', pieces)
      expect(result.events.map(([, data]) => data)).toEqual(expected)
      expect(result.bytes).toBe(text)
      expect(result.meter.unread).toBe(false)
    }
  })

  test('what is dropped goes with its line end; the terminal line and what follows are kept apart', () => {
    for (const pieces of everyCut(Buffer.from('1\r\ndrop\r\n2\r\nend\r\nmore\r\n'))) {
      const result = run('ndjson', pieces)
      expect(result).toMatchObject({ bytes: '1\r\n2\r\n', terminal: 'end\r\n', after: 'more\r\n' })
    }
  })

  test('half a line is left out where an error line must follow, and a whole one closed', () => {
    expect(run('ndjson', [Buffer.from('{"a":1}\n{"b":')], {}, false).bytes).toBe('{"a":1}\n')
    expect(run('ndjson', [Buffer.from('{"a":1}\n{"b":2}')], {}, false).bytes).toBe('{"a":1}\n{"b":2}\n')
  })
})

describe('a JSON array in pieces', () => {
  const elements = ['{"a":"]},{\\"["}', '{"b":[1,[2]],"c":{}}', '"te\\\\xt"', '-1.5e3', 'null', '[[],{}]']
  test.each([
    ['compact', `[${elements.join(',')}]`],
    ['as Gemini writes it', `[${elements.join('\n,\r\n')}\n]\n`],
    ['blanks everywhere', `\r\n [\t${elements.join(' , ')} ] `],
    ['a byte order mark', `\xef\xbb\xbf[${elements.join(',\n')}]`],
  ])('%s: each element is an event, the bracket is terminal, and every byte passes', (_name, text) => {
    for (const pieces of everyCut(Buffer.from(text, 'latin1'))) {
      const result = run('json_array', pieces)
      expect(result.events.map(([, data]) => data)).toEqual(elements)
      expect(`${result.bytes}${result.terminal}${result.after}`).toBe(text)
      expect(result.terminal?.trim()).toBe(']')
      expect(result.meter.unread).toBe(false)
    }
  })

  test('an empty array ends', () => {
    for (const pieces of everyCut(Buffer.from(' [ ] ')))
      expect(run('json_array', pieces)).toMatchObject({ terminal: ' [ ]', after: ' ' })
  })

  test('an element that the reader calls terminal is kept back with the bracket', () => {
    for (const pieces of everyCut(Buffer.from('[1,\nend]\n'))) {
      expect(run('json_array', pieces)).toMatchObject({ bytes: '[1', terminal: ',\nend', after: ']\n' })
    }
  })

  test('blanks behind an element do not wait for the next one', () => {
    const meter = new StreamMeter(new RecordingReader(), { framing: 'json_array' })
    expect(Buffer.concat(meter.push(Buffer.from('[{}\r\n'))).toString()).toBe('[{}\r\n')
    expect(meter.push(Buffer.from(',\n'))).toEqual([])
    expect(Buffer.concat(meter.push(Buffer.from('{}'))).toString()).toBe(',\n{}')
  })

  test('nothing is dropped: its comma would stay', () => {
    expect(run('json_array', [Buffer.from('["drop",drop,1]')])).toMatchObject({ bytes: '["drop",drop,1' })
  })

  test('an object alone is one event', () => {
    for (const pieces of everyCut(Buffer.from('{"error":{"code":503}}\n'))) {
      const result = run('json_array', pieces)
      expect(result.events).toEqual([['', '{"error":{"code":503}}']])
      expect(result.bytes).toBe('{"error":{"code":503}}\n')
      expect(result.meter.errorEvent({} as never)).toBeUndefined()
    }
  })

  test.each([['<html>busy</html>'], ['"text"'], ['data: {}\n\n']])('what is none passes unread: %s', (text) => {
    for (const pieces of everyCut(Buffer.from(text))) {
      const result = run('json_array', pieces)
      expect(result).toMatchObject({ bytes: text, events: [], terminal: undefined })
      expect(result.meter.unread).toBe(true)
      expect(result.meter.errorEvent({} as never)).toBeUndefined()
    }
  })
})

describe("Amazon's frames", () => {
  const codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes as Uint8Array).toString(),
    (text) => Buffer.from(text),
  )
  const headers = {
    ':event-type': { type: 'string', value: 'contentBlockDelta' },
    a: { type: 'boolean', value: true },
    b: { type: 'byte', value: 1 },
    c: { type: 'short', value: 2 },
    d: { type: 'integer', value: 3 },
    f: { type: 'binary', value: Buffer.from('::') },
    g: { type: 'timestamp', value: new Date(1) },
    h: { type: 'uuid', value: '01234567-89ab-cdef-0123-456789abcdef' },
    ':message-type': { type: 'string', value: 'event' },
  } as const

  test('made by another encoder they are read, whatever their headers, and every byte passes', () => {
    const bytes = Buffer.concat([
      codec.encode({ headers, body: Buffer.from('{"delta":{"text":"☕"}}') }),
      codec.encode({ headers: {}, body: Buffer.from('') }),
      exceptionFrame('throttlingException', { message: 'slow' }),
      encodeFrame({ ':message-type': 'error', ':error-code': 'Internal', ':error-message': 'x' }, Buffer.alloc(0)),
    ])
    for (const pieces of everyCut(bytes)) {
      const result = run('aws_eventstream', pieces)
      expect(result.events).toEqual([
        ['contentBlockDelta', '{"delta":{"text":"☕"}}'],
        ['', ''],
        ['exception:throttlingException', '{"message":"slow"}'],
        ['error:Internal', ''],
      ])
      expect(result.bytes).toBe(bytes.toString('latin1'))
      expect(result.meter.unread).toBe(false)
    }
  })

  test('made by us another decoder reads them', () => {
    const event = codec.decode(eventFrame('messageStop', { stopReason: 'max_tokens' }))
    expect(event.headers[':event-type']).toEqual({ type: 'string', value: 'messageStop' })
    expect(event.headers[':message-type']).toEqual({ type: 'string', value: 'event' })
    expect(Buffer.from(event.body).toString()).toBe('{"stopReason":"max_tokens"}')
    const exception = codec.decode(exceptionFrame('throttlingException', { message: 'Größe' }))
    expect(exception.headers[':exception-type']).toEqual({ type: 'string', value: 'throttlingException' })
    expect(Buffer.from(exception.body).toString()).toBe('{"message":"Größe"}')
  })

  test('the payload is a part of the chunk, not a copy', () => {
    const chunk = frames('abc')
    let data: Buffer | undefined
    const reader = new RecordingReader()
    reader.onEvent = (event) => {
      data = event.data
      return 'pass'
    }
    new StreamMeter(reader, { framing: 'aws_eventstream' }).push(chunk)
    expect(data?.buffer).toBe(chunk.buffer)
  })

  test('dropped and terminal frames', () => {
    const all = frames('1', 'drop', '2', 'end', 'more')
    for (const pieces of everyCut(all)) {
      const result = run('aws_eventstream', pieces)
      expect(result.bytes).toBe(frames('1', '2').toString('latin1'))
      expect(result.terminal).toBe(frames('end').toString('latin1'))
      expect(result.after).toBe(frames('more').toString('latin1'))
    }
  })

  test('a frame that contradicts its checksum passes unread, and the next ones are read', () => {
    const bad = frames('bad')
    bad[bad.length - 6] = 0x58
    const all = Buffer.concat([frames('1'), bad, frames('2')])
    for (const pieces of everyCut(all)) {
      const result = run('aws_eventstream', pieces)
      expect(result.events.map(([, data]) => data)).toEqual(['1', '2'])
      expect(result.bytes).toBe(all.toString('latin1'))
      expect(result.meter.unread).toBe(true)
    }
  })

  test.each([
    ['HTML', Buffer.from('<html>the service is busy</html>')],
    ['a length that contradicts its checksum', Buffer.concat([Buffer.from([0, 1]), frames('x').subarray(2)])],
    ['a length shorter than the headers', shortFrame()],
  ])('from bytes that are no frames on all passes unread: %s', (_name, garbage) => {
    const all = Buffer.concat([frames('1'), garbage, frames('2')])
    for (const pieces of everyCut(all)) {
      const result = run('aws_eventstream', pieces)
      expect(result.events.map(([, data]) => data)).toEqual(['1'])
      expect(result.bytes).toBe(all.toString('latin1'))
      expect(result.meter.unread).toBe(true)
      expect(result.meter.errorEvent({} as never)).toBeUndefined()
    }
  })

  test('half a frame is left out where an exception must follow', () => {
    const result = run('aws_eventstream', [frames('1', '2').subarray(0, -1)], {}, false)
    expect(result.bytes).toBe(frames('1').toString('latin1'))
    expect(result.meter.unread).toBe(true)
  })

  /** Its checksums are right, but its headers longer than itself. */
  function shortFrame(): Buffer {
    const frame = encodeFrame({}, Buffer.alloc(0))
    frame.writeUInt32BE(100, 4)
    frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8)
    frame.writeUInt32BE(crc32(frame.subarray(0, 12)), 12)
    return frame
  }
})

describe('an event beyond the bound passes unread, and the next ones are read again', () => {
  const large = 'x'.repeat(300)
  test.each<[Framing, Buffer]>([
    ['sse', Buffer.from(`data: 1\n\ndata: ${large}\n\ndata: 2\n\n`)],
    ['ndjson', Buffer.from(`1\n${large}\n2\n`)],
    ['json_array', Buffer.from(`[1,\n{"a":["${large}"]}\n,2\n`)],
    ['aws_eventstream', frames('1', large, '2')],
  ])('%s', (framing, bytes) => {
    for (const step of [1, 7, 50, 90, 130]) {
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step))
      const result = run(framing, pieces, { eventBytesMax: 128 })
      expect(result.bytes).toBe(bytes.toString('latin1'))
      expect(result.events.map(([name, data]) => (name === 'oversized' ? name : data))).toEqual(['1', 'oversized', '2'])
      expect(result.meter.unread).toBe(true)
    }
  })
})

describe('what has no allowance is kept back and comes again', () => {
  test.each<[Framing, Buffer]>([
    ['sse', Buffer.from('data: x\n\ndata: text:3\n\ndata: text:4\n\ndata: end\n\n')],
    ['ndjson', Buffer.from('x\ntext:3\ntext:4\nend\n')],
    ['json_array', Buffer.from('[x,\ntext:3\n,\ntext:4\n,end\n]')],
    ['aws_eventstream', frames('x', 'text:3', 'text:4', 'end')],
  ])('%s', (framing, bytes) => {
    for (const pieces of everyCut(bytes)) {
      const meter = new StreamMeter(new RecordingReader(), { framing })
      meter.allowance = 3
      const out = pieces.flatMap((piece) => [...meter.push(piece)])
      expect(meter.blocked).toBe(true)
      expect(meter.outputTokens).toBe(3)
      meter.allowance = 7
      out.push(...meter.resume(), ...meter.end())
      expect(meter.outputTokens).toBe(7)
      expect(meter.terminal).toBeDefined()
      out.push(meter.terminal as Buffer, ...meter.takeAfterTerminal())
      expect(Buffer.concat(out).equals(bytes)).toBe(true)
    }
  })
})

describe('an ending of ours follows what was handed on', () => {
  const cut = (framing: Framing, pieces: readonly Buffer[], ending: string | Buffer, eventBytesMax = 1000) => {
    const reader = new RecordingReader()
    reader.endsByFraming = false
    reader.cutEnding = () => Buffer.from(ending)
    const meter = new StreamMeter(reader, { framing, eventBytesMax })
    const out = pieces.flatMap((piece) => [...meter.push(piece)])
    const last = meter.cutEnding()
    return last && Buffer.concat([...out, last])
  }

  test('in a JSON array behind a comma and in front of the bracket, wherever it was cut', () => {
    const whole = Buffer.from('\n[{"a":1}\n,\r\n{"b":[2]}\n,{"c":3}]')
    for (let at = 0; at < whole.length; at++) {
      for (const ending of ['{"ours":1},{"ours":2}', '{"ours":1}', '']) {
        const text = cut('json_array', [whole.subarray(0, at)], ending)?.toString() ?? ''
        const read = JSON.parse(text) as readonly object[]
        const ours = JSON.parse(`[${ending}]`) as readonly object[]
        expect(read.slice(read.length - ours.length)).toEqual(ours)
        expect([{ a: 1 }, { b: [2] }, { c: 3 }].slice(0, read.length - ours.length)).toEqual(
          read.slice(0, read.length - ours.length),
        )
      }
    }
  })

  test('behind frames that are whole', () => {
    const whole = frames('1', '2')
    for (let at = 0; at < whole.length; at++) {
      const bytes = cut('aws_eventstream', [whole.subarray(0, at)], frames('ours'))
      expect([frames('ours'), frames('1', 'ours')].some((expected) => bytes?.equals(expected))).toBe(true)
    }
  })

  test('half an event too large to be kept is closed where that can be done', () => {
    const large = 'x'.repeat(200)
    expect(cut('sse', [Buffer.from(`data: ${large}`)], 'data: e\n\n', 100)?.toString()).toBe(
      `data: ${large}\n\ndata: e\n\n`,
    )
    expect(cut('ndjson', [Buffer.from(large)], 'e\n', 100)?.toString()).toBe(`${large}\ne\n`)
    expect(cut('json_array', [Buffer.from(`["${large}`)], '{}', 100)).toBeUndefined()
    expect(cut('aws_eventstream', [frames(large).subarray(0, 150)], frames('e'), 100)).toBeUndefined()
  })
})
