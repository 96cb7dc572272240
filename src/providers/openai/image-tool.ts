/**
 * The image tool of the Responses API: a GPT image model makes the pictures, is billed at its own prices, and stands in
 * no count of `usage`. `tool_usage.image_gen` states its tokens; where that is missing, the pictures of the answer are
 * counted by their quality and size.
 * Sources: openai-node src/resources/responses/responses.ts, Tool.ImageGeneration and ImageGenerationCall; recorded traffic.
 */
import type { TokenCounts, Usage } from '../../core/usage.ts'
import { memberObject, readCount } from '../counts.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { imageOutputTokens } from './image-output.ts'

type Fields = Readonly<Record<string, unknown>>

/** What the tool may come to: of a call, for its hold. */
export interface ToolModel {
  readonly model: string
  readonly tokens: TokenCounts
}

const TOOL = 'image_generation'
const DEFAULT_MODEL = 'gpt-image-1'
const MODEL_LENGTH_MAX = 256
/** The prompt that the model writes, and the picture before in high fidelity. */
const INPUT = { input: 1_000, image_input: 7_340 }
/** Models draw once unless they are told otherwise: more is held only where the call allows it by a number. */
const PICTURES_HELD = 1
const PICTURES_MOST = 10
const PICTURES_COUNTED_MOST = 128

/** Empty where the tool is not there. */
export function heldImageTool(fields: Fields): { readonly beside?: ToolModel } {
  const tool = asArray(fields['tools'])
    .map(asObject)
    .find((one) => one?.['type'] === TOOL)
  if (!tool) return {}
  const model = modelOf(tool['model'])
  const most = fields['max_tool_calls']
  const pictures =
    typeof most === 'number' && Number.isSafeInteger(most) && most > 0 ? Math.min(most, PICTURES_MOST) : PICTURES_HELD
  const partial = readCount(tool, 'partial_images') ?? 0
  const image = imageOutputTokens({
    model,
    quality: asText(tool['quality']),
    size: asText(tool['size']),
    partialImages: Math.min(partial, PICTURES_COUNTED_MOST),
    frames: 1,
  })
  return {
    beside: {
      model,
      tokens: {
        input: INPUT.input * pictures,
        image_input: INPUT.image_input * pictures,
        image_output: image * pictures,
      },
    },
  }
}

/** Empty where no picture was made. `model`: of the call's own tool, where it has one. */
export function imageToolUsage(
  toolUsage: unknown,
  output: unknown,
  model: string | undefined,
): Pick<Usage, 'beside' | 'flags'> {
  const stated = memberObject(asObject(toolUsage), 'image_gen')
  if (stated) {
    const tokens = statedTokens(stated)
    return tokens ? { beside: [{ model: model ?? DEFAULT_MODEL, tokens }] } : {}
  }
  const pictures = asArray(output)
    .map(asObject)
    .filter((item) => item?.['type'] === `${TOOL}_call` && item['status'] !== 'failed')
  if (pictures.length === 0) return {}
  const image = pictures
    .slice(0, PICTURES_COUNTED_MOST)
    .reduce((sum, item) => sum + pictureTokens(item as Fields, model ?? DEFAULT_MODEL), 0)
  return {
    beside: [{ model: model ?? DEFAULT_MODEL, tokens: { image_output: image } }],
    flags: ['image_tool_counted'],
  }
}

function statedTokens(stated: Fields): TokenCounts | undefined {
  const input = readCount(stated, 'input_tokens') ?? 0
  const output = readCount(stated, 'output_tokens') ?? 0
  if (input === 0 && output === 0) return undefined
  const imageInput = Math.min(readCount(memberObject(stated, 'input_tokens_details'), 'image_tokens') ?? 0, input)
  // Text that the model plans in is told apart; what is not told is a picture.
  const text = Math.min(readCount(memberObject(stated, 'output_tokens_details'), 'text_tokens') ?? 0, output)
  return { input: input - imageInput, image_input: imageInput, output: text, image_output: output - text }
}

function pictureTokens(item: Fields, model: string): number {
  return imageOutputTokens({
    model,
    quality: asText(item['quality']),
    size: asText(item['size']),
    partialImages: 0,
    frames: 1,
  })
}

function modelOf(value: unknown): string {
  const model = asText(value)
  return model === undefined || model.length > MODEL_LENGTH_MAX ? DEFAULT_MODEL : model
}
