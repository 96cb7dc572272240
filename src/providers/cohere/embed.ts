/** POST /v1/embed, /v2/embed: texts, images, or mixed inputs; billed by the token or by the image. */
import { InputCounter } from '../input-counter.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import { type CallRequest, type CallSource, InvalidCall, type Metering, type StreamReader } from '../provider.ts'
import { asArray, asObject } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { COHERE_MEDIA, META_MEMBERS, readCohereBody, readMetaJson, readOptionalModel } from './cohere-call.ts'
import { cohereErrorBody } from './cohere-error.ts'

type Fields = Readonly<Record<string, unknown>>

/** First and last token of each text, and the prefix that `input_type` puts before it. */
const INPUT_TOKENS = 8

export const embedMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(cohereErrorBody),
  jsonMembers: META_MEMBERS,
  readJson: readMetaJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readCohereBody(raw, source).value
  const texts = list(fields, 'texts')
  const images = list(fields, 'images')
  const inputs = list(fields, 'inputs')
  if (!texts && !images && !inputs)
    throw new InvalidCall('"texts" is missing; send "texts", "images" or "inputs" as an array.', 'texts')
  const counter = new InputCounter(COHERE_MEDIA)
  for (const text of texts ?? []) counter.addContent(text)
  for (const input of inputs ?? []) counter.addContent(asObject(input)?.['content'] ?? input)
  counter.addOverhead(INPUT_TOKENS * ((texts?.length ?? 0) + (inputs?.length ?? 0)))
  // Data URIs, which never count as text.
  const pictures = images?.length ?? 0
  for (const image of images ?? []) counter.addImage(typeof image === 'string' ? image : '')
  return {
    ...PLAIN_CALL,
    model: readOptionalModel(fields),
    input: counter.estimate(),
    unseenInput: counter.unseen,
    // Embed v3 bills an image, v4 its tokens.
    ...(pictures > 0 ? { units: { images: pictures }, billedBy: ['images'] as const } : {}),
    parsed: undefined,
  }
}

function list(fields: Fields, name: string): readonly unknown[] | undefined {
  const value = fields[name]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw new InvalidCall(`"${name}" must be an array.`, name)
  return asArray(value)
}
