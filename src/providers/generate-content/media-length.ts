/**
 * How long media are, read from their bytes as far as that takes no decoder. What they say of themselves may be wrong:
 * it is what the hold is made from, never the charge.
 */

const WAV_HEAD_CHARACTERS = 64
/** 48,000 samples of two channels and two bytes: no header may claim that a file is shorter than that makes it. */
const WAV_BYTES_PER_SECOND_MAX = 192_000
const UNKNOWN_DURATION = 0xffffffff

/**
 * The byte rate that a WAV file states; undefined where the bytes are none.
 * Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", Waveform Audio File Format.
 */
export function wavBytesPerSecond(base64: string): number | undefined {
  const head = Buffer.from(base64.slice(0, WAV_HEAD_CHARACTERS), 'base64')
  if (head.length < 32 || head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 12, 16) !== 'fmt ')
    return undefined
  const rate = head.readUInt32LE(28)
  return rate > 0 ? Math.min(rate, WAV_BYTES_PER_SECOND_MAX) : undefined
}

/**
 * The length that an MP4 or QuickTime file states in its movie header; undefined where there is none.
 * Source: ISO/IEC 14496-12, 8.2.2 Movie Header Box.
 */
export function videoSeconds(base64: string): number | undefined {
  const bytes = Buffer.from(base64, 'base64')
  const at = bytes.indexOf('mvhd')
  if (at < 0 || at + 36 > bytes.length) return undefined
  const wide = bytes[at + 4] === 1
  const timescale = bytes.readUInt32BE(at + (wide ? 24 : 16))
  const duration = wide ? Number(bytes.readBigUInt64BE(at + 28)) : bytes.readUInt32BE(at + 20)
  if (timescale === 0 || duration === 0 || duration === UNKNOWN_DURATION) return undefined
  const seconds = duration / timescale
  return Number.isFinite(seconds) ? seconds : undefined
}
