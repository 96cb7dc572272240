import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { createDecoder, type DecodeLimits } from '../../../src/meter/decode.ts'

const TEXT = Buffer.from('data: {"choices":[{"delta":{"content":"Guten Tag ☕"}}]}\n\n'.repeat(300))

async function decodeAll(encoding: string, bytes: Buffer, step: number, limits?: DecodeLimits) {
  const parts: Buffer[] = []
  const decoder = createDecoder(encoding, (part) => parts.push(part), limits)
  if (!decoder) throw new Error(`no decoder for ${encoding}`)
  for (let at = 0; at < bytes.length; at += step) await decoder.write(bytes.subarray(at, at + step))
  await decoder.end()
  return { bytes: Buffer.concat(parts), failure: decoder.failure }
}

const ENCODED: [string, Buffer][] = [
  ['gzip', gzipSync(TEXT)],
  ['x-gzip', gzipSync(TEXT)],
  ['GZIP', gzipSync(TEXT)],
  ['deflate', deflateSync(TEXT)],
  ['deflate', deflateRawSync(TEXT)],
  ['br', brotliCompressSync(TEXT)],
  ['zstd', zstdCompressSync(TEXT)],
]

describe('a compressed answer is decoded as it comes', () => {
  test.each(ENCODED)('%s, whatever the chunks', async (encoding, bytes) => {
    for (const step of [1, 7, 64, bytes.length]) {
      const result = await decodeAll(encoding, bytes, step)
      expect(result.failure).toBeUndefined()
      expect(result.bytes.equals(TEXT)).toBe(true)
    }
  })

  test.each([[undefined], [''], ['identity'], ['compress'], ['gzip, br']])('no decoder for %s', (encoding) => {
    expect(createDecoder(encoding, () => undefined)).toBeUndefined()
  })

  test('an event is given out before the next one comes', async () => {
    const { createGzip, constants } = await import('node:zlib')
    const encoder = createGzip()
    const parts: Buffer[] = []
    const decoder = createDecoder('gzip', (part) => parts.push(part))
    const flushed = new Promise<Buffer>((resolve) => {
      const encoded: Buffer[] = []
      encoder.on('data', (part: Buffer) => encoded.push(part))
      encoder.write('data: one\n\n')
      encoder.flush(constants.Z_SYNC_FLUSH, () => resolve(Buffer.concat(encoded)))
    })
    await decoder?.write(await flushed)
    expect(Buffer.concat(parts).toString()).toBe('data: one\n\n')
    decoder?.destroy()
    encoder.destroy()
  })
})

describe('a decoder stops, and says why', () => {
  test.each(['gzip', 'deflate', 'br', 'zstd'])('on bytes that are no %s', async (encoding) => {
    const result = await decodeAll(encoding, Buffer.from('this is not compressed at all, \x08 is it?'), 5)
    expect(result.failure).toMatch(/corrupt|truncated/)
  })

  test.each(ENCODED)('on a truncated body, after giving what came before (%s)', async (encoding, bytes) => {
    const result = await decodeAll(encoding, bytes.subarray(0, bytes.length - 3), 16)
    expect(result.failure).toMatch(/truncated|corrupt/)
    expect(TEXT.subarray(0, result.bytes.length).equals(result.bytes)).toBe(true)
  })

  test('on a bomb: 64 MiB from 64 KiB', async () => {
    const result = await decodeAll('gzip', gzipSync(Buffer.alloc(64 * 1024 * 1024)), 4096)
    expect(result.failure).toBe('too_large')
    expect(result.bytes.length).toBeLessThanOrEqual(8 * 1024 * 1024)
  })

  test('on more than the bound', async () => {
    const result = await decodeAll('gzip', gzipSync(TEXT), 512, { bytesMax: 1000 })
    expect(result.failure).toBe('too_large')
    expect(result.bytes.length).toBeLessThanOrEqual(1000)
  })

  test('and takes further writes without a word', async () => {
    const decoder = createDecoder('gzip', () => undefined)
    await decoder?.write(Buffer.from('nonsense nonsense'))
    await decoder?.write(Buffer.from('more'))
    await decoder?.end()
    expect(decoder?.failure).toBe('corrupt')
  })
})
