/** Amazon's frames taken apart by AWS's own codec, checksums and all: what its SDKs would see. */
import { EventStreamCodec } from '@smithy/eventstream-codec'

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
)

export interface DecodedFrame {
  /** event or exception. */
  readonly kind: string
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: any JSON
  readonly payload: any
}

/** Throws where a frame is not whole or a checksum is wrong. */
export function decodeFrames(bytes: Buffer): DecodedFrame[] {
  const frames: DecodedFrame[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    const { headers, body } = codec.decode(bytes.subarray(at, at + length))
    const text = (name: string): string => String(headers[name]?.value ?? '')
    frames.push({
      kind: text(':message-type'),
      type: text(':event-type') || text(':exception-type'),
      payload: JSON.parse(Buffer.from(body).toString() || 'null'),
    })
    at += length
  }
  return frames
}

/** The model's own JSON in the chunks of an invoke stream. */
export function chunksOf(bytes: Buffer): Record<string, unknown>[] {
  return decodeFrames(bytes).map(({ payload }) => JSON.parse(Buffer.from(payload.bytes, 'base64').toString()))
}
