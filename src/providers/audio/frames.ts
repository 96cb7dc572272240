/**
 * MP3 and AAC in ADTS: a row of frames, each of which says its length and stands for a fixed number of samples. What
 * cannot be read of the whole is taken to be like what was. Sources: ISO/IEC 11172-3 2.4.2.3, 13818-3; 14496-3 1.A.2.2.
 */
interface Frame {
  readonly bytes: number
  readonly seconds: number
}

/** kbit/s by index: MPEG-1 layers I, II, III; MPEG-2 layers I; II and III. */
const BITRATES: Readonly<Record<string, readonly number[]>> = {
  '1.1': [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  '1.2': [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  '1.3': [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  '2.1': [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  '2.2': [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  '2.3': [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}
const MPEG1_RATES = [44_100, 48_000, 32_000]
const AAC_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350]
/** Of what is no frame, between frames. */
const GAP_BYTES_MAX = 64 * 1024
/** One frame may be chance. */
const FRAMES_LEAST = 3

export function mp3Seconds(file: Buffer, bytes: number): number | undefined {
  return walk(file, bytes, mp3Frame)
}

export function aacSeconds(file: Buffer, bytes: number): number | undefined {
  return walk(file, bytes, aacFrame)
}

function walk(
  file: Buffer,
  bytes: number,
  frameAt: (file: Buffer, at: number) => Frame | undefined,
): number | undefined {
  const start = tagEnd(file)
  let at = start
  let gap = 0
  let frames = 0
  let seconds = 0
  while (at + 7 <= file.length && gap <= GAP_BYTES_MAX) {
    const frame = file[at] === 0xff ? frameAt(file, at) : undefined
    if (frame) {
      frames++
      seconds += frame.seconds
      at += frame.bytes
      gap = 0
    } else {
      at++
      gap++
    }
  }
  if (frames < FRAMES_LEAST) return undefined
  return seconds * Math.max(1, (bytes - start) / Math.max(1, at - gap - start))
}

/** Behind an ID3v2 tag; its size has 7 bits a byte. */
function tagEnd(file: Buffer): number {
  if (file.length < 10 || file.toString('latin1', 0, 3) !== 'ID3') return 0
  let size = 0
  for (let i = 6; i < 10; i++) size = size * 128 + ((file[i] as number) & 0x7f)
  return 10 + size
}

function mp3Frame(file: Buffer, at: number): Frame | undefined {
  const second = file[at + 1] as number
  const third = file[at + 2] as number
  const version = (second >> 3) & 3
  const layer = 4 - ((second >> 1) & 3)
  if ((second & 0xe0) !== 0xe0 || version === 1 || layer === 4) return undefined
  const mpeg1 = version === 3
  const kbits = BITRATES[`${mpeg1 ? 1 : 2}.${layer}`]?.[third >> 4]
  const rate = (MPEG1_RATES[(third >> 2) & 3] ?? 0) / (mpeg1 ? 1 : version === 2 ? 2 : 4)
  if (!kbits || rate === 0) return undefined
  const samples = layer === 1 ? 384 : layer === 3 && !mpeg1 ? 576 : 1152
  const padding = (third >> 1) & 1
  const bytes =
    layer === 1
      ? (Math.floor((12_000 * kbits) / rate) + padding) * 4
      : Math.floor(((samples / 8) * 1000 * kbits) / rate) + padding
  return { bytes, seconds: samples / rate }
}

function aacFrame(file: Buffer, at: number): Frame | undefined {
  // Sync of twelve bits, layer 0.
  if (((file[at + 1] as number) & 0xf6) !== 0xf0) return undefined
  const rate = AAC_RATES[((file[at + 2] as number) >> 2) & 15]
  const bytes = (file.readUInt32BE(at + 3) >>> 13) & 0x1fff
  const blocks = 1 + ((file[at + 6] as number) & 3)
  return rate === undefined || bytes < 7 ? undefined : { bytes, seconds: (1024 * blocks) / rate }
}
