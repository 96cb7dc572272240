/**
 * The model of a call whose path names one. There the path decides and the body is not looked at by the server, so
 * another model in the body must not decide here: Azure's `/openai/deployments/NAME/…`, OpenAI's retired
 * `/v1/engines/NAME/…`, Hugging Face's `/models/OWNER/NAME/v1/…`. A prompt template of Portkey's
 * (`/prompts/ID/completions`) stands in for a model that the body leaves out.
 * Sources: learn.microsoft.com, "Azure OpenAI in Microsoft Foundry Models REST API reference"; recorded traffic.
 */
import { pathSegments } from '../path-segments.ts'
import { type CallSource, InvalidCall } from '../provider.ts'
import { readModel } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

/** Throws InvalidCall where there is none, or none that can be read. */
export function readCallModel(fields: Fields, path: string): string {
  const inPath = modelInPath(path)
  if (inPath !== undefined) return inPath
  const segments = pathSegments(path)
  if ((fields['model'] === undefined || fields['model'] === null) && segments.at(-3) === 'prompts')
    return named(segments.at(-2) as string)
  return readModelOrFirst(fields)
}

/** OpenRouter takes a list of models without one of their own: the first is asked first. */
export function readModelOrFirst(fields: Fields, hint = ''): string {
  const { model, models } = fields
  const first = (model === undefined || model === null) && Array.isArray(models) ? (models[0] as unknown) : undefined
  return readModel(typeof first === 'string' ? { model: first } : fields, hint)
}

/**
 * The model of a call for audio: the path's, the body's, or the query's (Deepgram). "" where none is named. Throws
 * InvalidCall where body and query name two: which of them counts, only the server knows.
 */
export function audioModel(source: Pick<CallSource, 'path' | 'query'>, inBody: string | undefined): string {
  const named = new Set(new URLSearchParams(source.query).getAll('model'))
  if (inBody !== undefined) named.add(inBody)
  if (named.size > 1) throw new InvalidCall('"model" is named twice and differs; name it once.', 'model')
  return modelInPath(source.path) ?? [...named][0] ?? ''
}

/** undefined where the path names none. Throws InvalidCall for one that cannot be read. */
export function modelInPath(path: string): string | undefined {
  const segments = pathSegments(path)
  const deployment = segments[segments.lastIndexOf('deployments') + 1]
  if (segments.includes('deployments') && deployment) return named(deployment)
  // Docker's /engines/… without a version name what runs the model, not the model.
  const engines = segments.lastIndexOf('engines')
  const engine = segments[engines + 1]
  if (engines > 0 && segments[engines - 1] === 'v1' && engine) return named(engine)
  const start = segments.indexOf('models') + 1
  const end = segments.lastIndexOf('v1')
  return start > 0 && end > start ? named(segments.slice(start, end).join('/')) : undefined
}

function named(encoded: string): string {
  try {
    return readModel({ model: decodeURIComponent(encoded) })
  } catch (error) {
    if (error instanceof InvalidCall) throw error
    throw new InvalidCall('The model in the path is not well encoded.')
  }
}
