/**
 * The most output tokens that one generated image is billed.
 *
 * gpt-image-1, -1.5 and -mini have a table by quality and shape. From gpt-image-2 on any size may be asked for: the
 * quality says how many cells the longer edge has, the shorter one has its share of them, and their product grows with
 * the area. Higher qualities than `high` are taken on in the same steps. Above each image there may be partial ones of
 * 100 tokens, and text in which the model plans.
 * Sources: developers.openai.com/api/docs/guides/image-generation, "Cost and latency";
 * community.openai.com/t/1382699 (the formula behind the calculator there: 1024x1024 high is 7,024).
 */

export interface ImageOrder {
  readonly model: string
  /** As the caller stated it; undefined, `auto` and what nobody knows are the most they can come to. */
  readonly quality: string | undefined
  readonly size: string | undefined
  readonly partialImages: number
  /** Frames of a moving image; 1 for any other. */
  readonly frames: number
}

const TABLE: Readonly<Record<string, readonly [square: number, tall: number, wide: number]>> = {
  low: [272, 408, 400],
  medium: [1056, 1584, 1568],
  high: [4160, 6240, 6208],
}
const TABLE_MODEL = /gpt-image-1(?![0-9])|chatgpt-image-latest/
const CELLS: Readonly<Record<string, number>> = { low: 16, medium: 48, high: 96, xhigh: 144, max: 192 }
const CELLS_MAX = 96
/** `auto` is one of 1024x1024, 1536x1024 and 1024x1536: the square one costs the most. */
const AUTO_SIZE = { width: 1024, height: 1024 }
const EDGE_MAX = 8192
const PARTIAL_TOKENS = 100

/** Image tokens, partial images and frames counted in. */
export function imageOutputTokens(order: ImageOrder): number {
  const one = TABLE_MODEL.test(order.model) ? tableTokens(order) : cellTokens(order)
  return one * order.frames + order.partialImages * PARTIAL_TOKENS
}

function tableTokens({ quality, size }: ImageOrder): number {
  const row = TABLE[quality ?? ''] ?? (TABLE['high'] as readonly [number, number, number])
  const pixels = readSize(size)
  if (!pixels) return Math.max(...row)
  if (pixels.width === pixels.height) return row[0]
  return pixels.height > pixels.width ? row[1] : row[2]
}

function cellTokens({ quality, size }: ImageOrder): number {
  const cells = CELLS[quality ?? ''] ?? CELLS_MAX
  const { width, height } = readSize(size) ?? AUTO_SIZE
  const short = Math.round((cells * Math.min(width, height)) / Math.max(width, height))
  return Math.ceil((cells * Math.max(1, short) * (2_000_000 + width * height)) / 4_000_000)
}

function readSize(size: string | undefined): { readonly width: number; readonly height: number } | undefined {
  const match = /^(\d{1,5})x(\d{1,5})$/.exec(size ?? '')
  if (!match) return undefined
  const width = Math.min(Number(match[1]), EDGE_MAX)
  const height = Math.min(Number(match[2]), EDGE_MAX)
  return width > 0 && height > 0 ? { width, height } : undefined
}
