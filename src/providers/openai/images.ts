/**
 * POST …/images/generations, …/images/edits, …/images/variations, and OpenRouter's …/images: JSON or a form.
 *
 * GPT images are billed by the token and say so; the others by the image and say nothing: there the images of the
 * answer are counted. Source: openai-node src/resources/images.ts; recorded traffic of those who copy it.
 */
import type { Usage } from '../../core/usage.ts'
import { InputCounter } from '../input-counter.ts'
import { likelyInput } from '../likely-input.ts'
import { MediaFields } from '../multipart/media-fields.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { statedCostOf } from '../stated-cost.ts'
import { imageOutputTokens } from './image-output.ts'
import { ImagesStream } from './images-stream.ts'
import { countedImages, type ImagesParsed, readImagesUsage, readSvgUsage, withImages } from './images-usage.ts'
import { mediaCall } from './media-call.ts'
import { modelInPath } from './path-model.ts'

/** How many images: `n` at OpenAI, others at those who copy it. The highest counts. */
const COUNTS = ['n', 'num_images', 'num_outputs', 'samples']
const DECISIVE = new Set([
  ...COUNTS,
  'model',
  'model_name',
  'prompt',
  'stream',
  'size',
  'quality',
  'partial_images',
  'frame_count',
  'output_format',
])
/** Members of a JSON body that carry input images, one or a list. */
const INPUT_IMAGES = [
  'image',
  'images',
  'mask',
  'markup',
  'image_url',
  'input_references',
  'input_image',
  'reference_images',
]
/**
 * gpt-image-1 scales the short edge to 512 and counts 65 + 129 for each tile; at high fidelity, as all models after it
 * do by themselves, 4,160 to 6,240 more.
 */
const INPUT_IMAGE_TOKENS = { low: 1_100, high: 7_340 }
/** Text in which newer models plan an image, and the one that an SVG is written in. */
const PLAN_TOKENS = 2_048
const SVG_TOKENS = 16_384
/** Billed by the image wherever they are served. */
const BY_THE_IMAGE = /dall-e|flux|diffusion|sdxl|\bsd\d|grok|imagen|hidream|seedream|ideogram|recraft/i
/** Parameters that only GPT images take: with one of them the API chooses such a model by itself. */
const GPT_ONLY = ['background', 'moderation', 'output_format', 'output_compression', 'partial_images', 'stream']

export const imagesMetering: Metering = {
  takesForms: true,
  readCall: readImagesCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'n',
  createStreamReader: (call): StreamReader => new ImagesStream(call),
  // The images themselves, mostly in base64, are only counted.
  jsonMembers: ['id', 'model', 'usage', 'svg_usage', 'data.#', 'images.#'],
  readJson: readImagesJson,
}

function readImagesCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = new MediaFields(raw, source, DECISIVE)
  const model = modelInPath(source.path) ?? fields.text('model') ?? fields.text('model_name') ?? defaultModel(fields)
  const images = Math.max(1, ...COUNTS.map((name) => fields.whole(name, 1) ?? 1))
  const counter = new InputCounter({ image: () => INPUT_IMAGE_TOKENS.high })
  counter.addText(fields.text('prompt') ?? '')
  const stream = fields.flag('stream') === true
  const inputTokens =
    inputImages(fields) * (fields.value('input_fidelity') === 'low' ? INPUT_IMAGE_TOKENS.low : INPUT_IMAGE_TOKENS.high)
  const byTheImage = BY_THE_IMAGE.test(model)
  const imageTokens = byTheImage ? 0 : outputTokensOf(model, fields)
  const svg = fields.text('output_format') === 'svg'
  const parsed: ImagesParsed = {
    images,
    likely: byTheImage ? undefined : { inputTokens: likelyInput(counter.estimate()), imageTokens },
  }
  return mediaCall({
    model,
    stream,
    counter,
    parts: byTheImage
      ? {}
      : {
          image_input: inputTokens,
          image_output: imageTokens * images,
          output: (PLAN_TOKENS + (svg ? SVG_TOKENS : 0)) * images,
        },
    units: { images },
    billedBy: ['images'],
    imageOutput: !byTheImage,
    parsed,
  })
}

function defaultModel(fields: MediaFields): string {
  return GPT_ONLY.some((name) => fields.value(name) !== undefined && fields.value(name) !== null)
    ? 'gpt-image-1'
    : 'dall-e-2'
}

function outputTokensOf(model: string, fields: MediaFields): number {
  return imageOutputTokens({
    model,
    quality: fields.text('quality'),
    size: fields.text('size'),
    partialImages: fields.whole('partial_images', 0) ?? 0,
    frames: fields.text('output_format') === 'gif' ? (fields.whole('frame_count', 1) ?? 9) : 1,
  })
}

function inputImages(fields: MediaFields): number {
  let images = 0
  for (const name of INPUT_IMAGES) {
    const value = fields.value(name)
    images += fields.files(name).length
    if (Array.isArray(value)) images += asArray(value).length
    else if (typeof value === 'string' || asObject(value)) images++
  }
  return images
}

function readImagesJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  // Hyperbolic has them under `images`.
  const images = countOf(members['data.#']) + countOf(members['images.#'])
  const stated = readImagesUsage(members['usage'])
  const usage: Usage | undefined = stated && withImages(readSvgUsage(stated, members['svg_usage']), images)
  return {
    usage,
    counted: countedImages(images, call.parsed as ImagesParsed, members['usage']),
    ...statedCostOf(members['usage']),
    model: asText(members['model']),
    providerId: asText(members['id']),
    serviceTier: undefined,
    storedId: undefined,
  }
}

function countOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
