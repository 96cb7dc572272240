/**
 * What media in a request cost at most, in tokens, by Google's rules. Models before Gemini 3 cut an image into tiles of
 * 258 tokens; later ones take a fixed number of tokens for an image, a page or a frame, by the resolution asked for.
 * Sources: ai.google.dev/gemini-api/docs/tokens (258 a tile, 32 a second of audio, 263 a second of video) and
 * …/media-resolution ("Token counts"); cloud.google.com/vertex-ai/generative-ai/docs/multimodal/image-understanding
 * (how tiles are cut); recorded traffic (1290 for 1024 × 1024 pixels, 258 for a page, 295 for a second with sound).
 */
import { imageSize } from '../media/image-size.ts'
import { pdfPages } from '../media/pdf-pages.ts'
import { videoSeconds, wavBytesPerSecond } from './media-length.ts'

/** Of a picture that was scaled to this many pixels at the most. */
const PIXELS_MAX = 3072
const TILE = { tokens: 258, smallImage: 384, pixelsLeast: 256, pixelsMost: 768 }
/** 3,072 × 384 pixels in tiles of 256, and the whole once more. */
const TILES_MAX = 12 * 2 + 1
const PAGE = 258
const AUDIO_SECOND = 32
/** 263 for one frame with its time stamp, 32 for the sound. */
const VIDEO_SECOND = 300
const THREE = { image: 1120, imageUltra: 2240, page: 560, pageHigh: 1120, frame: 70, frameHigh: 280 }
/** Compressed speech at 8 kbit/s; 8,000 samples of two bytes a second without compression. */
const AUDIO_BYTES_PER_SECOND = { compressed: 1_000, plain: 16_000 }
const FRAMES_PER_SECOND_MAX = 24

export type MediaKind = 'image' | 'audio' | 'video' | 'document' | 'text'

export interface Media {
  /** Lower case, with its parameters: `audio/l16;codec=pcm;rate=24000`. */
  readonly mimeType: string
  /** Base64, of either alphabet. */
  readonly data: string
  /** `MEDIA_RESOLUTION_HIGH`, `high`, …; "" where none is asked for. */
  readonly resolution: string
  /** Frames a second that the caller asks for; 1 where it does not. */
  readonly framesPerSecond: number
}

export function mediaKind(mimeType: string): MediaKind {
  if (mimeType.startsWith('image/')) return 'image'
  if (mimeType.startsWith('audio/')) return 'audio'
  if (mimeType.startsWith('video/')) return 'video'
  return mimeType.startsWith('application/pdf') ? 'document' : 'text'
}

/** undefined: its length cannot be told from its bytes. Text is not counted here. */
export function mediaTokens(media: Media, model: string): number | undefined {
  switch (mediaKind(media.mimeType)) {
    case 'image':
      return imageTokens(media.resolution, model, media.data)
    case 'audio':
      return audioTokens(media)
    case 'video':
      return videoTokens(media, model)
    case 'document':
      return documentTokens(media, model)
    default:
      return undefined
  }
}

/** `data`: the picture in base64; "" where it stands elsewhere. */
export function imageTokens(resolution: string, model: string, data = ''): number {
  const three = /ultra/i.test(resolution) ? THREE.imageUltra : THREE.image
  if (isThree(model)) return three
  const tiled = tiles(data) * TILE.tokens
  return isAlias(model) ? Math.max(three, tiled) : tiled
}

/** Tiles of a picture: its shorter side by 1.5, within bounds; and one for the whole, where it is cut at all. */
function tiles(data: string): number {
  const size = imageSize(data)
  if (!size) return TILES_MAX
  const scale = Math.min(1, PIXELS_MAX / Math.max(size.width, size.height))
  const width = Math.ceil(size.width * scale)
  const height = Math.ceil(size.height * scale)
  if (width <= TILE.smallImage && height <= TILE.smallImage) return 1
  const side = Math.min(Math.max(Math.min(width, height) / 1.5, TILE.pixelsLeast), TILE.pixelsMost)
  return Math.min(Math.ceil(width / side) * Math.ceil(height / side) + 1, TILES_MAX)
}

function audioTokens({ mimeType, data }: Media): number {
  const plain = /wav|l16|pcm|aiff/.test(mimeType)
  const rate = wavBytesPerSecond(data) ?? (plain ? AUDIO_BYTES_PER_SECOND.plain : AUDIO_BYTES_PER_SECOND.compressed)
  return (Math.ceil(decodedBytes(data) / rate) + 1) * AUDIO_SECOND
}

function videoTokens({ data, resolution, framesPerSecond }: Media, model: string): number | undefined {
  const seconds = videoSeconds(data)
  if (seconds === undefined) return undefined
  const frames = Math.min(Math.max(1, framesPerSecond), FRAMES_PER_SECOND_MAX)
  const frame = /high/i.test(resolution) ? THREE.frameHigh : THREE.frame
  const three = frame + AUDIO_SECOND
  const second = isThree(model) ? three : isAlias(model) ? Math.max(three, VIDEO_SECOND) : VIDEO_SECOND
  return Math.ceil((Math.ceil(seconds) + 1) * frames * second)
}

function documentTokens({ data, resolution }: Media, model: string): number | undefined {
  const pages = pdfPages(data)
  if (pages === undefined) return undefined
  const page = /high/i.test(resolution) ? THREE.pageHigh : THREE.page
  return pages * (isThree(model) ? page : isAlias(model) ? Math.max(page, PAGE) : PAGE)
}

function isThree(model: string): boolean {
  return Number(/gemini-(\d+)/.exec(model)?.[1] ?? 0) >= 3
}

/** `gemini-flash-latest` and tuned models may be of either generation: then the dearer rule counts. */
function isAlias(model: string): boolean {
  return !/gemini-\d/.test(model)
}

function decodedBytes(base64: string): number {
  return Math.ceil((base64.length * 3) / 4)
}
