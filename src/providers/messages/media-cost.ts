/**
 * The most that an image or a page of a PDF costs, in tokens. Claude sees patches of 28 × 28 pixels, one token each; an
 * image beyond 1,568 pixels at the long edge or 1,568 tokens is scaled down to that. From Opus 4.7 on it is 2,576 pixels
 * and 4,784 tokens. A page is an image of the older size and its text, 3,000 tokens of it at the most.
 * Sources: platform.claude.com/docs/en/build-with-claude/vision, "Evaluate image size", and …/pdf-support, "Estimate your
 * costs"; earlier versions of the first gave width × height / 750.
 */
import type { MediaCosts } from '../input-counter.ts'
import type { ImageSize } from '../media/image-size.ts'

const SMALL = 1600
const LARGE = 4784
const SMALL_MODELS = /claude-(3|instant|2)|(sonnet|opus|haiku)-4(-[0-6])?(-20\d{6}|$|@|-latest|-v\d)/
const PATCH = 28
const PIXELS_PER_TOKEN = 750
/** What stands around an image. */
const FRAME = 8
const PAGE_TEXT = 3000

export function claudeMedia(model: string): MediaCosts {
  return { image: (_detail, size) => claudeImageTokens(model, size), page: () => SMALL + PAGE_TEXT }
}

export function claudeImageTokens(model: string, size?: ImageSize): number {
  const most = SMALL_MODELS.test(model) ? SMALL : LARGE
  if (size === undefined) return most
  const patches = Math.ceil(size.width / PATCH) * Math.ceil(size.height / PATCH)
  return Math.min(most, Math.max(patches, Math.ceil((size.width * size.height) / PIXELS_PER_TOKEN)) + FRAME)
}
