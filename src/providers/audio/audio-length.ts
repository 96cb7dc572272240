/**
 * How long a piece of audio is, from its headers: transcriptions are held, and where the provider states nothing
 * charged, by the second. What the headers say is taken only as far as the bytes make it likely, so that a file which
 * lies about itself cannot make its hold small.
 */

import { flacSeconds } from './flac.ts'
import { aacSeconds, mp3Seconds } from './frames.ts'
import { mp4Seconds } from './mp4.ts'
import { oggSeconds } from './ogg.ts'
import { wavSeconds } from './wav.ts'
import { webmSeconds } from './webm.ts'

export interface AudioLength {
  /** As it most likely is. */
  readonly seconds: number
  /** What it is hardly above. */
  readonly highSeconds: number
}

/** Bytes a second: of what is not known 64 kbit/s is usual and 16 kbit/s low. */
const USUAL = 8_000
const LOW = 2_000
/** Outside of these a header is wrong: 4 kbit/s; 512 kbit/s compressed, 8 channels of 32 bits at 48 kHz plain. */
const LEAST = 500
const MOST = { compressed: 64_000, plain: 1_536_000 }
/** Headers round, and encoders pad. */
const SLACK = 1.02
const SLACK_SECONDS = 1

/** `bytes`: length of the whole, where `file` is only its beginning. `end`: then its last bytes. */
export function audioLength(file: Buffer, bytes: number = file.length, end: Buffer = file): AudioLength {
  const plain = isPlain(file)
  const stated = statedSeconds(file, bytes, end)
  if (stated === undefined || !(stated > 0)) return { seconds: bytes / USUAL, highSeconds: bytes / LOW + SLACK_SECONDS }
  const seconds = Math.min(Math.max(stated, bytes / (plain ? MOST.plain : MOST.compressed)), bytes / LEAST)
  return { seconds, highSeconds: seconds * SLACK + SLACK_SECONDS }
}

function isPlain(file: Buffer): boolean {
  const magic = file.toString('latin1', 0, 4)
  return magic === 'RIFF' || magic === 'RF64' || magic === 'fLaC'
}

function statedSeconds(file: Buffer, bytes: number, end: Buffer): number | undefined {
  const magic = file.toString('latin1', 0, 4)
  if (magic === 'RIFF' || magic === 'RF64') return wavSeconds(file, bytes)
  if (magic === 'fLaC') return flacSeconds(file)
  if (magic === 'OggS') return oggSeconds(file, end)
  if (file.toString('latin1', 4, 8) === 'ftyp') return mp4Seconds(file)
  if (file.length > 4 && file.readUInt32BE(0) === 0x1a45dfa3) return webmSeconds(file)
  return mp3Seconds(file, bytes) ?? aacSeconds(file, bytes)
}
