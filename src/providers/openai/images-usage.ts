/**
 * Usage of generated images.
 *
 * OpenAI: `input_tokens` with text and images apart, `output_tokens` that are all image unless `output_tokens_details`
 * takes text out of them. OpenRouter: the names of chat completions. xAI: only what it cost. An SVG is written by another
 * model, whose tokens stand beside in `svg_usage`.
 * Sources: openai-node src/resources/images.ts, ImagesResponse; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, memberObject, readCount } from '../counts.ts'
import { asObject, asText } from '../read-fields.ts'
import { readChatUsage, takeApartInput } from './chat-usage.ts'

/** `CallRequest.parsed` of images. */
export interface ImagesParsed {
  readonly images: number
  /** Tokens of the call and of one image, where nothing states them. Undefined: billed by the image alone. */
  readonly likely: { readonly inputTokens: number; readonly imageTokens: number } | undefined
}

/** undefined where `value` is no usage object or states no count at all. */
export function readImagesUsage(value: unknown): Usage | undefined {
  const usage = asObject(value)
  if (!usage) return undefined
  const input = readCount(usage, 'input_tokens')
  const output = readCount(usage, 'output_tokens')
  if (input === undefined && output === undefined) return readChatUsage(value)
  const flags: string[] =
    isBadCount(usage, 'input_tokens') || isBadCount(usage, 'output_tokens') ? ['unreadable_count'] : []
  const details = memberObject(usage, 'input_tokens_details')
  const tokens = takeApartInput({
    prompt: input ?? 0,
    cached: readCount(details, 'cached_tokens') ?? 0,
    cachedAudio: 0,
    written: 0,
    audio: 0,
    image: readCount(details, 'image_tokens') ?? 0,
    video: 0,
    flags,
  })
  const text = textOutput(memberObject(usage, 'output_tokens_details'), output ?? 0, flags)
  return {
    tokens: { ...tokens, output: text, image_output: (output ?? 0) - text },
    raw: value,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

/** Text among the output tokens: what is said to be text, else what is not said to be image. */
function textOutput(details: Readonly<Record<string, unknown>> | undefined, output: number, flags: string[]): number {
  const image = readCount(details, 'image_tokens')
  const text = readCount(details, 'text_tokens') ?? (image === undefined ? 0 : Math.max(0, output - image))
  if (text > output) flags.push('text_beyond_output')
  return Math.min(text, output)
}

/** With the pass of the model that wrote an SVG, at its own price. Its reasoning is inside its output. */
export function readSvgUsage(usage: Usage, value: unknown): Usage {
  const svg = asObject(value)
  const input = readCount(svg, 'input_tokens') ?? 0
  const output = readCount(svg, 'output_tokens') ?? 0
  if (input === 0 && output === 0) return usage
  const { tokens } = usage
  return {
    ...usage,
    tokens: { ...tokens, input: (tokens.input ?? 0) + input, output: (tokens.output ?? 0) + output },
    passes: [
      { model: undefined, tokens },
      { model: asText(svg?.['model']), tokens: { input, output } },
    ],
    raw: { usage: usage.raw, svg_usage: value },
  }
}

export function withImages(usage: Usage, images: number): Usage {
  return images > 0 ? { ...usage, units: { ...usage.units, images } } : usage
}

/** What an answer comes to that states no tokens. */
export function countedImages(images: number, { likely }: ImagesParsed, raw: unknown): Usage {
  return {
    tokens: likely && images > 0 ? { input: likely.inputTokens, image_output: likely.imageTokens * images } : {},
    units: { images },
    raw: raw ?? null,
  }
}
