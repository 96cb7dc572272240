/**
 * The most that one image costs, in tokens. An image's size would have to be decoded to know more.
 *
 * Tiles: 85 + 170 for each of at most 8 tiles (gpt-4o: 768 × 2048 after scaling) = 1445; gpt-4o-mini 2833 + 8 × 5667.
 * Patches: at most 1536 patches × 2.46 (the largest factor, nano models) = 3779; `detail: original` at most 10,000.
 * `detail: low`: 85 (gpt-4o-mini 2833), patch models 256 × 2.46.
 * Source: platform.openai.com/docs/guides/images-vision, "Calculating costs".
 */
const MINI_BASE = 2833
const MINI_TILE = 5667
const TILES_MAX = 8
const HIGH_MAX = 3779
const LOW_MAX = 630
const ORIGINAL_MAX = 24_600

export function openAIImageTokens(model: string, detail: unknown): number {
  if (model.includes('4o-mini')) return detail === 'low' ? MINI_BASE : MINI_BASE + TILES_MAX * MINI_TILE
  if (detail === 'low') return LOW_MAX
  return detail === 'original' ? ORIGINAL_MAX : HIGH_MAX
}
