/**
 * POST …:predict: whatever a model of Vertex AI takes as `instances`. Text embeddings state their tokens with each
 * prediction; pictures (Imagen) are counted in the answer; other models state nothing.
 * Sources: googleapis google/cloud/aiplatform/v1/prediction_service.proto;
 * cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and …/imagen-api; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { readCount } from '../counts.ts'
import { readJsonBody } from '../json-body.ts'
import { type AnswerFacts, type CallRequest, type CallSource, InvalidCall, type Metering } from '../provider.ts'
import { asArray, asObject, asText, readWholeNumber } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { refuseOtherAnswers } from './answer-form.ts'
import { PromptCounter } from './count-input.ts'
import { googleErrorBody } from './google-error.ts'
import { modelOfPath } from './google-path.ts'
import { inputOnly } from './input-only.ts'
import { DecisiveNames, readNested } from './proto-json.ts'

type Fields = Readonly<Record<string, unknown>>

const NAMES = new DecisiveNames(['instances', 'parameters'])
const PARAMETERS = new DecisiveNames(['sampleCount'])
const STATISTICS = 'predictions.*.embeddings.statistics'
const MIME_TYPES = 'predictions.*.mimeType'
const INSTANCES_MAX = 10_000
/** Imagen makes one where it is not told otherwise, and four at the most. */
const PICTURES_DEFAULT = 1
/** Models that are billed by the picture. */
const PICTURE_MODELS = /imagen|image(generation|text)|try-on|recontext/

export const predictMetering: Metering = {
  readCall: readPredictCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'maxOutputTokens',
  createStreamReader: () => new SilentStream(googleErrorBody),
  jsonMembers: [STATISTICS, MIME_TYPES, 'error'],
  readJson: readPredictJson,
}

function readPredictCall(raw: Buffer, source: CallSource): CallRequest {
  refuseOtherAnswers(source, 'predictions')
  const model = modelOfPath(source.path)
  const json = readJsonBody(raw, source.jsonDepth)
  const body = NAMES.read(json.value, json.members, json.insertAt, '')
  const instances = asArray(body.value['instances'])
  if (instances.length > INSTANCES_MAX)
    throw new InvalidCall(`"instances" has more than ${INSTANCES_MAX} items; split them.`, 'instances')
  const counter = new PromptCounter(model, undefined)
  for (const instance of instances) addInstance(counter, instance)
  const call = inputOnly(model, counter)
  if (!PICTURE_MODELS.test(model)) return call
  const parameters = readNested(raw, body, 'parameters', PARAMETERS, source.jsonDepth)
  const pictures = (parameters && readWholeNumber(parameters.value, 'sampleCount', 1)) ?? PICTURES_DEFAULT
  return { ...call, units: { images: pictures * Math.max(1, instances.length) }, billedBy: ['images'] }
}

/** A text, or an object of texts and media: `{"content": "…"}`, `{"prompt": "…", "image": {"bytesBase64Encoded": "…"}}`. */
function addInstance(counter: PromptCounter, instance: unknown): void {
  if (typeof instance === 'string') counter.addText(instance)
  else if (Array.isArray(instance)) for (const item of instance) addInstance(counter, item)
  else {
    const fields = asObject(instance)
    if (!fields) return
    if (fields['gcsUri'] !== undefined) counter.unseen = true
    else if (fields['bytesBase64Encoded'] !== undefined) counter.addImage('')
    else for (const name in fields) addInstance(counter, fields[name])
  }
}

function readPredictJson(members: Fields): AnswerFacts {
  const pictures = asArray(members[MIME_TYPES]).filter((mimeType) => asText(mimeType)?.startsWith('image/')).length
  const usage = embeddingUsage(asArray(members[STATISTICS]))
  return {
    usage,
    ...(pictures > 0 ? { counted: { tokens: {}, units: { images: pictures }, raw: null } } : {}),
    model: undefined,
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
    ...(asObject(members['error']) ? { failed: true } : {}),
  }
}

/** The sum over the predictions; undefined where none of them states a count. */
function embeddingUsage(statistics: readonly unknown[]): Usage | undefined {
  const counts = statistics
    .map((item) => readCount(asObject(item), 'token_count'))
    .filter((count) => count !== undefined)
  if (counts.length === 0) return undefined
  return { tokens: { input: counts.reduce((sum, count) => sum + count, 0) }, raw: { predictions: statistics } }
}
