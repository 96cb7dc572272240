import { type Call, isObject, type JsonObject, jsonReply, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { splitInput } from './generate-answer.ts'
import { MID_STREAM_ERROR, openaiErrorBody, ProviderError } from './provider-errors.ts'
import { createRandom, idTail } from './random.ts'

const IMAGE_BYTES = 3_000
const IMAGE_TOKENS: Readonly<Record<string, number>> = { low: 272, medium: 1056, high: 4160 }
const PARTIAL_TOKENS = 100
const INPUT_IMAGE_TOKENS = 194

/**
 * `POST …/images/generations|edits|variations`: GPT images in base64, with usage, as JSON or as a stream; any other model
 * answers addresses and states no usage. An edit is a form or JSON.
 */
export function images(call: Call): Reply {
  const { body } = call
  const count = readCount(body)
  if (!call.model.includes('gpt-image')) return jsonReply({ created: call.nowSeconds, data: links(call, count) })
  if (isTrue(body['stream'])) return imageStream(call, count)
  const data = Array.from({ length: count }, (_, index) => ({ b64_json: image(call, index) }))
  return jsonReply(
    {
      created: call.nowSeconds,
      background: 'opaque',
      data,
      output_format: 'png',
      ...look(call),
      ...usageOf(call, count, 0),
    },
    count,
  )
}

function readCount(body: JsonObject): number {
  const value = body['n'] ?? 1
  const count = typeof value === 'string' ? Number(value) : value
  if (typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 10) return count
  throw new ProviderError(400, "Invalid value for 'n': must be a whole number from 1 to 10.", 'invalid_value', 'n')
}

/** A form has only text. */
export function isTrue(value: unknown): boolean {
  return value === true || value === 'true'
}

function links(call: Call, count: number): JsonObject[] {
  return Array.from({ length: count }, (_, index) => ({
    revised_prompt: String(call.body['prompt'] ?? ''),
    url: `https://images.example/${idTail(call.idSeed + index, 24)}.png`,
  }))
}

/** The first bytes of a PNG, then noise; in base64. */
function image(call: Call, index: number): string {
  const bytes = Buffer.alloc(call.controls.bytes ?? IMAGE_BYTES)
  const random = createRandom(call.seed + index)
  for (let at = 0; at < bytes.length; at += 4)
    bytes.writeUInt32BE(random.below(0xffffffff), Math.min(at, bytes.length - 4))
  bytes.set(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'))
  return bytes.toString('base64')
}

function look(call: Call): { readonly quality: string; readonly size: string } {
  const quality = String(call.body['quality'] ?? 'high')
  return { quality: quality in IMAGE_TOKENS ? quality : 'high', size: '1024x1024' }
}

function usageOf(call: Call, count: number, partials: number): JsonObject {
  if (call.controls.faults.has('no_usage')) return {}
  const { image: one, image_url: url, images: list, prompt } = call.body
  const inputs = [one, url, list].flat().filter((value) => value !== undefined && value !== null)
  const imageTokens = inputs.length * INPUT_IMAGE_TOKENS
  const input = splitInput(call, Math.max(1, countInput(isObject(prompt) ? '' : prompt)) + imageTokens).total
  const output =
    (call.controls.output ?? (IMAGE_TOKENS[look(call).quality] as number)) * count + partials * PARTIAL_TOKENS
  return {
    usage: {
      input_tokens: input,
      input_tokens_details: {
        image_tokens: Math.min(imageTokens, input),
        text_tokens: Math.max(0, input - imageTokens),
      },
      output_tokens: output,
      output_tokens_details: { image_tokens: output, text_tokens: 0 },
      total_tokens: input + output,
    },
  }
}

function imageStream(call: Call, count: number): Reply {
  const error = `event: error\ndata: ${openaiErrorBody(MID_STREAM_ERROR)}\n\n`
  const partials = Number(call.body['partial_images'] ?? 0)
  return {
    kind: 'stream',
    steps: imageSteps(call, count, partials),
    tokens: partials * count,
    errorEvent: error,
    failedEvent: error,
  }
}

function* imageSteps(call: Call, count: number, partials: number): Generator<string> {
  const kind = call.body['image'] === undefined && call.body['images'] === undefined ? 'image_generation' : 'image_edit'
  const event = (type: string, fields: JsonObject) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  const head = { created_at: call.nowSeconds, background: 'opaque', output_format: 'png', ...look(call) }
  yield ''
  let completed = ''
  for (let index = 0; index < count; index++) {
    for (let partial = 0; partial < partials; partial++) {
      yield completed +
        event(`${kind}.partial_image`, { ...head, partial_image_index: partial, b64_json: image(call, index) })
      completed = ''
    }
    completed += event(`${kind}.completed`, { ...head, b64_json: image(call, index), ...usageOf(call, 1, partials) })
  }
  yield call.controls.faults.has('no_terminal') ? '' : completed
}
