/**
 * Frames of Amazon's binary event stream, for what the gateway itself says in one: a reader's `cutEnding()` and
 * `errorEvent()`, and simulated answers. How they are laid out: src/meter/frame-splitter.ts.
 */
import { crc32 } from 'node:zlib'

const TYPE_STRING = 7
const PRELUDE_BYTES = 12
const CHECKSUM_BYTES = 4

/** An event with a JSON payload: `eventFrame('messageStop', { stopReason: 'max_tokens' })`. */
export function eventFrame(eventType: string, payload: unknown): Buffer {
  return encodeFrame(
    { ':event-type': eventType, ':content-type': 'application/json', ':message-type': 'event' },
    Buffer.from(JSON.stringify(payload)),
  )
}

/** An exception, after which nothing follows: `exceptionFrame('throttlingException', { message })`. */
export function exceptionFrame(exceptionType: string, payload: unknown): Buffer {
  return encodeFrame(
    { ':exception-type': exceptionType, ':content-type': 'application/json', ':message-type': 'exception' },
    Buffer.from(JSON.stringify(payload)),
  )
}

/** Header values are strings of at most 65,535 bytes; names at most 255. */
export function encodeFrame(headers: Readonly<Record<string, string>>, payload: Buffer): Buffer {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => encodeHeader(name, value)))
  const frame = Buffer.alloc(PRELUDE_BYTES + head.length + payload.length + CHECKSUM_BYTES)
  frame.writeUInt32BE(frame.length, 0)
  frame.writeUInt32BE(head.length, 4)
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8)
  head.copy(frame, PRELUDE_BYTES)
  payload.copy(frame, PRELUDE_BYTES + head.length)
  frame.writeUInt32BE(crc32(frame.subarray(0, frame.length - CHECKSUM_BYTES)), frame.length - CHECKSUM_BYTES)
  return frame
}

function encodeHeader(name: string, value: string): Buffer {
  const nameBytes = Buffer.from(name)
  const valueBytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(valueBytes.length)
  return Buffer.concat([Buffer.from([nameBytes.length]), nameBytes, Buffer.from([TYPE_STRING]), length, valueBytes])
}
