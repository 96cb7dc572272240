/** A request body in place of one that a cassette did not keep: a form with a second of silence, or the audio alone. */
import type { Recording } from './recordings.ts'

const BOUNDARY = 'tollgate-test-boundary'
const SAMPLES_A_SECOND = 8000

export function composedBody(recording: Recording): {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
} {
  const { headers } = recording.request
  const type = headers['content-type'] ?? ''
  const model = recording.expected.model ?? 'unknown'
  if (type.startsWith('multipart/form-data')) {
    return {
      headers: { ...headers, 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
      body: form({ model, ...(recording.streaming ? { stream: 'true' } : {}) }),
    }
  }
  if (type.startsWith('audio/')) return { headers, body: silence() }
  const body = Buffer.from(JSON.stringify({ model, input: 'x', stream: recording.streaming }))
  return { headers: { ...headers, 'content-type': 'application/json' }, body }
}

function form(fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const file = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n`
  return Buffer.concat([Buffer.from(parts.join('') + file), silence(), Buffer.from(`\r\n--${BOUNDARY}--\r\n`)])
}

/** A second of silence: 8-bit mono WAV. */
function silence(): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + SAMPLES_A_SECOND, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(SAMPLES_A_SECOND, 24)
  head.writeUInt32LE(SAMPLES_A_SECOND, 28)
  head.writeUInt16LE(1, 32)
  head.writeUInt16LE(8, 34)
  head.write('data', 36)
  head.writeUInt32LE(SAMPLES_A_SECOND, 40)
  return Buffer.concat([head, Buffer.alloc(SAMPLES_A_SECOND, 0x80)])
}
