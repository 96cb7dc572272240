/**
 * What a path of a Google API names: a method behind the last colon (`…/models/gemini-2.5-flash:generateContent`) and
 * the model in front of it, which stands nowhere else. Escapes are read as the server reads them, and the method
 * whatever its letter case: a spelling that some server takes must not get by unmetered.
 * Source: cloud.google.com/apis/design/custom_methods; googleapis google/ai/generativelanguage/v1beta and
 * google/cloud/aiplatform/v1, the `google.api.http` options.
 */
import { decodedSegment, pathSegments } from '../path-segments.ts'
import { InvalidCall } from '../provider.ts'

export interface GoogleMethod {
  /** In lower case: `generatecontent`. */
  readonly method: string
  /**
   * As prices and plans name it: `gemini-2.5-flash`, `claude-sonnet-4-5@20250929`; of a tuned model or an endpoint with
   * its collection in front: `tunedModels/my-tune`, `endpoints/1234`.
   */
  readonly model: string
  /** Of `publishers/NAME/models/…`. */
  readonly publisher: string | undefined
}

const METHOD = /^(.+):([A-Za-z]+)$/s
const MODEL_COLLECTIONS = new Set(['models', 'tunedModels', 'endpoints'])
const MODEL_LENGTH_MAX = 256

/** Undefined where the path names no method of a model. */
export function readGoogleMethod(path: string): GoogleMethod | undefined {
  const segments = pathSegments(path)
  const last = METHOD.exec(decodedSegment(segments.at(-1) ?? ''))
  const collection = decodedSegment(segments.at(-2) ?? '')
  if (!last || !MODEL_COLLECTIONS.has(collection)) return undefined
  const [, id = '', method = ''] = last
  if (collection !== 'models')
    return { method: method.toLowerCase(), model: `${collection}/${id}`, publisher: undefined }
  const publisher =
    decodedSegment(segments.at(-4) ?? '') === 'publishers' ? decodedSegment(segments.at(-3) ?? '') : undefined
  return { method: method.toLowerCase(), model: id, publisher }
}

/** The model of a path that was recognised before. Throws InvalidCall where its name is none. */
export function modelOfPath(path: string): string {
  const model = readGoogleMethod(path)?.model ?? ''
  if (model.length === 0 || model.length > MODEL_LENGTH_MAX || hasControls(model))
    throw new InvalidCall(`The path must name a model of 1 to ${MODEL_LENGTH_MAX} characters.`, 'model')
  return model
}

/** Whether the call of this path and query is answered by one JSON array in pieces. */
export function asksForArray(target: string): boolean {
  const mark = target.indexOf('?')
  const alts = mark < 0 ? [] : new URLSearchParams(target.slice(mark)).getAll('alt')
  return readGoogleMethod(target)?.method === 'streamgeneratecontent' && !alts.includes('sse')
}

/** A model without what the API puts in front of it: `models/M`, `publishers/google/models/M`. */
export function bareModel(name: string): string {
  return name.slice(name.lastIndexOf('models/') + (name.includes('models/') ? 7 : 1))
}

function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}
