import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { audioLength } from '../../../src/providers/audio/audio-length.ts'
import { aacFile, flacFile, mp3File, mp4File, oggFile, wavFile, webmFile } from '../../support/audio-files.ts'

const SEED = 20261126

describe('the length of audio is read from its headers', () => {
  test.each([
    ['wav', wavFile(3.5)],
    ['wav whose header was written before its end was known', wavFile(3.5, { dataSize: 0x7fffffff })],
    ['mp3 behind a tag', mp3File(3.5)],
    ['aac', aacFile(3.5)],
    ['flac', flacFile(3.5)],
    ['ogg opus', oggFile(3.5)],
    ['m4a', mp4File(3.5)],
    ['webm', webmFile(3.5, true)],
    ['webm as a browser records it', webmFile(3.5, false)],
  ])('%s', (_name, file) => {
    const { seconds, highSeconds } = audioLength(file)
    expect(seconds).toBeGreaterThan(3.45)
    expect(seconds).toBeLessThan(3.55)
    expect(highSeconds).toBeGreaterThan(seconds)
    expect(highSeconds).toBeLessThan(5)
  })

  test('of the beginning of a file the rest is taken to be like it', () => {
    const file = mp3File(60)
    expect(audioLength(file.subarray(0, 64 * 1024), file.length).seconds).toBeCloseTo(60, 0)
    const wav = wavFile(60)
    expect(audioLength(wav.subarray(0, 64 * 1024), wav.length).seconds).toBeCloseTo(60, 3)
    const ogg = oggFile(60, 200_000)
    expect(audioLength(ogg.subarray(0, 64 * 1024), ogg.length, ogg.subarray(-16 * 1024)).seconds).toBeCloseTo(60, 3)
  })
})

describe('a file that says less than its bytes are worth is not believed', () => {
  test.each([
    ['flac of a second', flacFile(0.001, 4_000_000), 4_000_000 / 1_536_000],
    ['ogg of a second', oggFile(0.001, 4_000_000), 4_000_000 / 64_000],
    ['m4a of a second', mp4File(0.001, 4_000_000), 4_000_000 / 64_000],
  ])('%s', (_name, file, least) => {
    expect(audioLength(file).seconds).toBeGreaterThanOrEqual(least)
  })

  test('nor one that says it is years long', () => {
    expect(audioLength(oggFile(1e9, 20_000)).seconds).toBe(40)
  })

  test('what is no audio that is known is held by its bytes', () => {
    expect(audioLength(Buffer.alloc(80_000, 'x'))).toEqual({ seconds: 10, highSeconds: 41 })
  })
})

test(`whatever comes, there is a length (seed ${SEED})`, () => {
  const starts = [wavFile(1), mp3File(1), aacFile(1), flacFile(1), oggFile(1), mp4File(1), webmFile(1, false)]
  fc.assert(
    fc.property(
      fc.constantFrom(...starts),
      fc.integer({ min: 0, max: 400 }),
      fc.uint8Array({ maxLength: 64 }),
      (file, at, bytes) => {
        const broken = Buffer.from(file.subarray(0, 4096))
        broken.set(bytes, Math.min(at, broken.length - bytes.length))
        for (const cut of [broken, broken.subarray(0, at)]) {
          const { seconds, highSeconds } = audioLength(cut)
          expect(Number.isFinite(seconds) && seconds >= 0 && highSeconds >= seconds).toBe(true)
        }
      },
    ),
    { seed: SEED, numRuns: 2000 },
  )
})
