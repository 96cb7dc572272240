/**
 * Ogg: the position of the last page by the rate that the first packet states. Opus counts at 48 kHz whatever it was
 * recorded at. Sources: RFC 3533; RFC 7845 section 5.1; xiph.org, Vorbis I specification 4.2.2; Speex header.
 */
const OPUS_RATE = 48_000
const HEAD_BYTES = 512
const NO_POSITION = 0xffff_ffff_ffff_ffffn

/** `end`: the last bytes of the file. */
export function oggSeconds(file: Buffer, end: Buffer): number | undefined {
  const rate = sampleRate(file)
  if (!(rate > 0)) return undefined
  for (let at = end.lastIndexOf('OggS'); at >= 0; at = at === 0 ? -1 : end.lastIndexOf('OggS', at - 1)) {
    if (at + 14 > end.length) continue
    const position = end.readBigUInt64LE(at + 6)
    if (position !== NO_POSITION) return Number(position) / rate
  }
  return undefined
}

function sampleRate(file: Buffer): number {
  const head = file.subarray(0, HEAD_BYTES)
  if (head.includes('OpusHead')) return OPUS_RATE
  const vorbis = head.indexOf('\x01vorbis')
  if (vorbis >= 0 && vorbis + 16 <= head.length) return head.readUInt32LE(vorbis + 12)
  const speex = head.indexOf('Speex   ')
  if (speex >= 0 && speex + 40 <= head.length) return head.readUInt32LE(speex + 36)
  const flac = head.indexOf('fLaC')
  return flac >= 0 && flac + 21 <= head.length ? head.readUIntBE(flac + 18, 3) >> 4 : 0
}
