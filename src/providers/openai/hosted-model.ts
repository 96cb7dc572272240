/**
 * The model of a call to a server whose paths name one, or that has one alone: Hugging Face's `/models/OWNER/NAME` and
 * `/pipeline/TASK/OWNER/NAME`, SageMaker's `/endpoints/NAME/invocations` and Databricks'
 * `/serving-endpoints/NAME/invocations`. A server of one model needs no name at all.
 */
import { decodedSegment, pathSegments } from '../path-segments.ts'
import { readModel } from '../read-fields.ts'
import { readCallModel } from './path-model.ts'

/** "" where neither path nor body names one. Throws InvalidCall where it is no name. */
export function hostedModel(fields: Readonly<Record<string, unknown>>, path: string): string {
  const encoded = namedInPath(pathSegments(path))
  if (encoded !== undefined) return readCallModel({ model: decodedSegment(encoded) }, '')
  return fields['model'] === undefined || fields['model'] === null ? '' : readModel(fields)
}

function namedInPath(segments: readonly string[]): string | undefined {
  const endpoint = segments.findIndex((segment) => segment === 'endpoints' || segment === 'serving-endpoints')
  if (endpoint >= 0) return segments[endpoint + 1]
  const models = segments.indexOf('models')
  if (models >= 0) {
    const task = segments.indexOf('pipeline', models)
    return segments.slice(models + 1, task < 0 ? undefined : task).join('/')
  }
  const task = segments.indexOf('pipeline')
  return task < 0 ? undefined : segments.slice(task + 2).join('/')
}
