/**
 * The most that one image costs, in tokens, by the rules of its model; with the image's size less than that.
 *
 * - Tiles (gpt-4o, gpt-4.1, o1, o3, computer-use): scaled into 2,048 × 2,048, then to 768 at the short side; a base and
 *   a price for each 512 × 512 tile, 8 at the most. `detail: low` is the base alone.
 * - Patches of 32 × 32 (the others): as many as the model's budget, to which larger images are scaled down, times its
 *   factor. Of gpt-5.4 and later `original` has a budget of 10,000, from gpt-5.6 on none; from gpt-5.5 on it is what
 *   `auto` and nothing at all mean. `low` is an image of 512 × 512.
 * - gpt-4.1, gpt-5 and those that are not known to take one rule: the dearer of both.
 * - Models of other makers behind a compatible API: Llama 3.2 takes 1,601 for each of 4 tiles, Pixtral 16 × 16 pixels a
 *   token, Qwen 28 × 28; none of them heeds `detail`.
 *
 * Source: developers.openai.com/api/docs/guides/images-vision, "Calculating costs", of July 2026; gpt-5.2 was measured
 * at 1.2 tokens a patch.
 */
import type { MediaCosts } from '../input-counter.ts'
import type { ImageSize } from '../media/image-size.ts'
import { isOpenAIModel } from './own-model.ts'

const PATCH = 32
const LOW_SIDE = 512
const TILE = 512
const TILES_MAX = 8
const BUDGET = { high: 1536, highFrom54: 2500, original: 10_000 }
/** An image of no stated size: 4,000 × 4,000 pixels. */
const UNBOUNDED = 15_625
const OTHERS_MAX = 6500
const OTHERS_LEAST = 1700
const OTHERS_PIXELS = 256
/** The most that the text of a page comes to. Source: platform.openai.com/docs/guides/pdf-files, "How it works". */
const PAGE_TEXT = 3000

interface Tiles {
  readonly base: number
  readonly each: number
}

const MINI_TILES: Tiles = { base: 2833, each: 5667 }
const O_TILES: Tiles = { base: 75, each: 150 }
const USUAL_TILES: Tiles = { base: 85, each: 170 }

/** 10 tokens a second. Source: OpenAI's guide to audio and speech; raised by a quarter. */
function openAIAudioTokens(seconds: number): number {
  return Math.ceil(seconds * 12.5) + 24
}

/** A page is an image of it and its text. */
export function openAIMedia(model: string): MediaCosts {
  return {
    image: (detail, size) => openAIImageTokens(model, detail, size),
    ...(isOpenAIModel(model) ? { audio: openAIAudioTokens } : {}),
    page: () => openAIImageTokens(model, 'high') + PAGE_TEXT,
  }
}

export function openAIImageTokens(model: string, detail: unknown, size?: ImageSize): number {
  if (!isOpenAIModel(model)) return othersTokens(size)
  const name = model.slice(model.lastIndexOf('/') + 1)
  if (name.includes('4o-mini')) return tileTokens(MINI_TILES, detail, size)
  if (/^(ft:)?(o1|o3(?!-mini)|computer-use)/.test(name)) return tileTokens(O_TILES, detail, size)
  if (/4o/.test(name)) return tileTokens(USUAL_TILES, detail, size)
  const patches = patchTokens(name, detail, size)
  return /mini|nano/.test(name) ? patches : Math.max(patches, tileTokens(USUAL_TILES, detail, size))
}

function tileTokens({ base, each }: Tiles, detail: unknown, size: ImageSize | undefined): number {
  if (detail === 'low') return base
  return base + each * (size === undefined ? TILES_MAX : Math.min(TILES_MAX, tiles(size)))
}

function tiles({ width, height }: ImageSize): number {
  let scale = Math.min(1, 2048 / Math.max(width, height))
  scale *= Math.min(1, 768 / (Math.min(width, height) * scale))
  // 1,536 pixels are three tiles, also where they come out of a division.
  const side = (pixels: number): number => Math.ceil((pixels * scale) / TILE - 1e-9)
  return side(width) * side(height)
}

function patchTokens(name: string, detail: unknown, size: ImageSize | undefined): number {
  const budget = patchBudget(name, detail, size !== undefined)
  const seen = detail === 'low' ? { width: LOW_SIDE, height: LOW_SIDE } : size
  const patches = seen === undefined ? budget : Math.min(budget, patchesOf(seen))
  return Math.ceil(patches * patchFactor(name))
}

function patchBudget(name: string, detail: unknown, sized: boolean): number {
  const version = versionOf(name)
  if (version < 5.4 || /mini|nano/.test(name)) return BUDGET.high
  const original = detail === 'original' || (version >= 5.5 && detail !== 'high' && detail !== 'low')
  if (!original) return BUDGET.highFrom54
  if (version < 5.6) return BUDGET.original
  return sized ? Number.POSITIVE_INFINITY : UNBOUNDED
}

function patchesOf({ width, height }: ImageSize): number {
  return Math.ceil(width / PATCH) * Math.ceil(height / PATCH)
}

function patchFactor(name: string): number {
  if (name.includes('nano')) return 2.46
  if (name.startsWith('o4-mini')) return 1.72
  return name.includes('mini') ? 1.62 : 1.2
}

/** gpt-5.4-mini is 5.4; a name without a number is none of them. */
function versionOf(name: string): number {
  return Number(/gpt-(\d+(?:\.\d+)?)/.exec(name)?.[1] ?? 0)
}

function othersTokens(size: ImageSize | undefined): number {
  if (size === undefined) return OTHERS_MAX
  return Math.min(OTHERS_MAX, Math.max(OTHERS_LEAST, Math.ceil((size.width * size.height) / OTHERS_PIXELS)))
}
