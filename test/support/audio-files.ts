/** Small audio files with headers as encoders write them; what they would sound like is noise. */

/** 16 bits, one channel. `dataSize`: as the header says it, where that is not the truth. */
export function wavFile(seconds: number, options: { readonly rate?: number; readonly dataSize?: number } = {}): Buffer {
  const rate = options.rate ?? 16_000
  const data = Buffer.alloc(Math.round(seconds * rate) * 2, 1)
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + data.length, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(rate, 24)
  head.writeUInt32LE(rate * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(options.dataSize ?? data.length, 40)
  return Buffer.concat([head, data])
}

/** MPEG-1 layer III at 44.1 kHz and 128 kbit/s, behind an ID3v2 tag. */
export function mp3File(seconds: number): Buffer {
  const tag = Buffer.concat([Buffer.from('ID3\x04\x00\x00\x00\x00\x01\x00', 'latin1'), Buffer.alloc(128)])
  const frame = Buffer.alloc(417)
  frame.writeUInt32BE(0xfffb9000, 0)
  return Buffer.concat([tag, ...Array.from({ length: Math.round((seconds * 44_100) / 1152) }, () => frame)])
}

/** AAC in ADTS at 24 kHz. */
export function aacFile(seconds: number): Buffer {
  const bytes = 200
  const frame = Buffer.alloc(bytes)
  frame.set([0xff, 0xf1, 0x40 | (6 << 2), 0x40 | (bytes >> 11), (bytes >> 3) & 0xff, ((bytes & 7) << 5) | 0x1f, 0xfc])
  return Buffer.concat(Array.from({ length: Math.round((seconds * 24_000) / 1024) }, () => frame))
}

export function flacFile(seconds: number, bytes = 20_000): Buffer {
  const file = Buffer.alloc(bytes, 3)
  file.write('fLaC', 0)
  file.writeUInt32BE(34, 4)
  const samples = Math.round(seconds * 44_100)
  file.writeUIntBE((44_100 << 4) >>> 0, 18, 3)
  file.writeUInt8(0xf0, 21)
  file.writeUInt32BE(samples, 22)
  return file
}

/** Opus: the position of the last page counts at 48 kHz. */
export function oggFile(seconds: number, bytes = 20_000): Buffer {
  const file = Buffer.alloc(bytes, 3)
  file.write('OggS', 0)
  file.writeBigUInt64LE(0n, 6)
  file.write('OpusHead', 28)
  file.write('OggS', bytes - 300)
  file.writeBigUInt64LE(BigInt(Math.round(seconds * 48_000)), bytes - 294)
  file.write('OggS', bytes - 100)
  file.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, bytes - 94)
  return file
}

/** M4A with the header at its end, as recorders write it. */
export function mp4File(seconds: number, bytes = 20_000): Buffer {
  const mvhd = Buffer.alloc(28)
  mvhd.writeUInt32BE(1000, 12)
  mvhd.writeUInt32BE(Math.round(seconds * 1000), 16)
  return Buffer.concat([
    box('ftyp', Buffer.from('M4A \0\0\0\0')),
    box('mdat', Buffer.alloc(bytes, 3)),
    box('moov', box('mvhd', mvhd)),
  ])
}

function box(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(content.length + 8, 0)
  head.write(type, 4)
  return Buffer.concat([head, content])
}

/** `stated`: with `Info.Duration`; without it as browsers record, the length is that of the last block. */
export function webmFile(seconds: number, stated: boolean, bytes = 20_000): Buffer {
  const duration = Buffer.alloc(8)
  duration.writeDoubleBE(seconds * 1000)
  const info = [element([0x2a, 0xd7, 0xb1], uint(1_000_000)), ...(stated ? [element([0x44, 0x89], duration)] : [])]
  const lastMs = Math.round(seconds * 1000)
  const block = (ms: number, size: number) => {
    const head = Buffer.from([0x81, 0, 0, 0x80])
    head.writeInt16BE(ms, 1)
    return element([0xa3], Buffer.concat([head, Buffer.alloc(size, 3)]))
  }
  const cluster = (ms: number, blocks: Buffer[]) =>
    element([0x1f, 0x43, 0xb6, 0x75], Buffer.concat([element([0xe7], uint(ms)), ...blocks]))
  return Buffer.concat([
    element([0x1a, 0x45, 0xdf, 0xa3], Buffer.from([0x42, 0x82, 0x84, 0x77, 0x65, 0x62, 0x6d])),
    // A segment of unknown length.
    Buffer.from([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    element([0x15, 0x49, 0xa9, 0x66], Buffer.concat(info)),
    cluster(0, [block(0, bytes)]),
    cluster(lastMs - 500, [block(0, 10), block(500, 10)]),
  ])
}

function element(id: readonly number[], content: Buffer): Buffer {
  const size = Buffer.alloc(8)
  size.writeBigUInt64BE(BigInt(content.length))
  size[0] = 0x01
  return Buffer.concat([Buffer.from(id), size, content])
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
