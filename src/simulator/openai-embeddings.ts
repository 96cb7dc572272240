import { type Call, jsonReply, positiveInteger, type Reply } from './call.ts'
import { countInput } from './count-input.ts'
import { splitInput } from './generate-answer.ts'
import { readPrompts } from './openai-completions.ts'
import { ProviderError } from './provider-errors.ts'
import { createRandom, hashText } from './random.ts'

const DEFAULT_DIMENSIONS = 1536

/** `POST …/embeddings`: one vector for each input, as floats or base64, usage without output. */
export function embeddings(call: Call): Reply {
  const { body } = call
  if (body['input'] === undefined) {
    throw new ProviderError(400, "Missing required parameter: 'input'.", 'missing_required_parameter', 'input')
  }
  const inputs = readPrompts(body['input'])
  const dimensions = positiveInteger(body, 'dimensions') ?? DEFAULT_DIMENSIONS
  const base64 = body['encoding_format'] === 'base64'
  const data = inputs.map((input, index) => {
    const vector = unitVector(hashText(JSON.stringify(input), call.seed), dimensions)
    return { object: 'embedding', index, embedding: base64 ? asBase64(vector) : [...vector] }
  })
  const tokens = splitInput(call, Math.max(1, countInput(inputs))).total
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  const model = call.model
  return jsonReply({ object: 'list', data, model, ...(call.controls.faults.has('no_usage') ? {} : { usage }) })
}

/** Of length 1, as the real ones are. */
function unitVector(seed: number, dimensions: number): Float32Array {
  const random = createRandom(seed)
  const vector = new Float32Array(dimensions)
  let square = 0
  for (let i = 0; i < dimensions; i++) {
    const value = (random.below(2001) - 1000) / 1000
    vector[i] = value
    square += value * value
  }
  const length = Math.sqrt(square) || 1
  return vector.map((value) => value / length)
}

/** Little-endian 32-bit floats. */
function asBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}
