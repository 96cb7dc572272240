/**
 * The model stands in the path alone: …/model/MODEL/converse. It is an id (`us.` and `eu.` in front are cross-region
 * profiles) or an ARN, percent-encoded by the SDKs (`%3A`, and `%2F` inside an ARN) and by some clients not at all.
 * Source: docs.aws.amazon.com, API_runtime_Converse, modelId.
 */
import { decodedSegment, pathSegments } from '../path-segments.ts'
import { InvalidCall } from '../provider.ts'

const MODEL_LENGTH_MAX = 256
/** Ids, and ARNs with `/` between their parts. */
const MODEL = /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/
const ARN = /^arn(:|%3A)/i

/** The last segment where the path is …/model/MODEL/OPERATION, or undefined. */
export function operationOf(path: string): string | undefined {
  const segments = pathSegments(path)
  return modelSegment(segments) === undefined ? undefined : segments.at(-1)
}

/** Throws InvalidCall where it is none that AWS would take. */
export function modelOfPath(path: string): string {
  const model = decodedSegment(modelSegment(pathSegments(path)) ?? '')
  if (model.length <= MODEL_LENGTH_MAX && MODEL.test(model)) return model
  throw new InvalidCall(
    `The path names no model: between /model/ and the operation an id or an ARN of at most ${MODEL_LENGTH_MAX} letters, digits and . _ : - / has to stand.`,
    'modelId',
  )
}

/** An ARN that was not encoded is two segments. */
function modelSegment(segments: readonly string[]): string | undefined {
  const last = segments.at(-2)
  if (segments.at(-3) === 'model') return last
  const first = segments.at(-3)
  return segments.at(-4) === 'model' && first !== undefined && ARN.test(first) ? `${first}/${last}` : undefined
}
