/** WAVE: bytes of the data chunk by bytes a second. Source: Microsoft, "Multiple Channel Audio Data and WAVE Files". */
const PCM_FORMATS = new Set([1, 3, 6, 7, 0xfffe])
const CHUNKS_MAX = 64

/** undefined where it is no WAVE that can be read. A length that goes beyond the file, as streams write it, is cut to it. */
export function wavSeconds(file: Buffer, bytes: number): number | undefined {
  if (file.length < 12 || file.toString('latin1', 8, 12) !== 'WAVE') return undefined
  let rate = 0
  let at = 12
  for (let chunks = 0; chunks < CHUNKS_MAX && at + 8 <= file.length; chunks++) {
    const id = file.toString('latin1', at, at + 4)
    const size = file.readUInt32LE(at + 4)
    if (id === 'fmt ' && at + 22 <= file.length) rate = bytesPerSecond(file, at + 8)
    if (id === 'data') return rate > 0 ? Math.min(size === 0 ? bytes : size, bytes - at - 8) / rate : undefined
    at += 8 + size + (size % 2)
  }
  return undefined
}

function bytesPerSecond(file: Buffer, at: number): number {
  const sampleRate = file.readUInt32LE(at + 4)
  const blockAlign = file.readUInt16LE(at + 12)
  return PCM_FORMATS.has(file.readUInt16LE(at)) ? sampleRate * blockAlign : file.readUInt32LE(at + 8)
}
