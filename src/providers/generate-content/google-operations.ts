/** What the Gemini API and Vertex AI have in common: which operation a method of a model is, and which a resource. */
import type { Endpoint, Format } from '../../config/snapshot.ts'
import { readCount } from '../counts.ts'
import { namedIn } from '../made-objects.ts'
import { decodedSegment } from '../path-segments.ts'
import type { MadeObjects, Metering, ObjectRules, Operation, OperationMatch } from '../provider.ts'
import { googleBatchAnswer, googleBatches } from './batch.ts'
import { embedContentMetering } from './embed-content.ts'
import { generateContentMetering } from './generate-content.ts'
import type { GoogleMethod } from './google-path.ts'
import { interactionsMetering } from './interactions.ts'
import { predictMetering } from './predict.ts'

const OBJECT_ID = /^[A-Za-z0-9_.-]{1,256}$/
/** Collections whose members belong to who made them, by the name in front of the id. */
const OBJECTS: Readonly<Record<string, Endpoint>> = {
  files: 'files',
  cachedContents: 'cached_contents',
  tunedModels: 'models',
  operations: 'operations',
  batches: 'batches',
  batchPredictionJobs: 'batches',
  interactions: 'generate_content',
}
/** Results that a batch shows when it has ended. */
const RULES: Readonly<Record<string, ObjectRules>> = {
  batches: { makes: namedIn('response.responsesFile', 'metadata.output.responsesFile', 'dest.fileName') },
}
/** A cache says how much it holds: so much a call that names it will read. */
const CACHE_TOKENS = 'usageMetadata.totalTokenCount'
const CACHE_NAME = namedIn('name')
const CACHED: MadeObjects = {
  members: [...CACHE_NAME.members, CACHE_TOKENS],
  read: CACHE_NAME.read,
  tokens: (answer) => readCount(answer, CACHE_TOKENS) ?? 0,
}
/** What may be done with a member, beside reading, changing and deleting it. */
const OBJECT_METHODS: Readonly<Record<string, string>> = { download: 'GET', cancel: 'POST', wait: 'POST' }

/** The operations of one format, made once. */
export class GoogleOperations {
  readonly format: Format
  readonly #methods: ReadonlyMap<string, Operation>
  readonly #interactions: Operation
  readonly #models: Operation
  readonly #objects: ReadonlyMap<string, Operation>
  readonly #deletions: ReadonlyMap<string, Operation>
  readonly #lists: ReadonlyMap<string, Operation>
  readonly #upload: Operation
  /** Google bills what a cache stores by the hour, up to years ahead, and says so in no answer. */
  readonly #cache: Operation
  readonly #prolonged: Operation

  constructor(format: Format) {
    this.format = format
    const generate = this.metered('generate_content', generateContentMetering)
    const embed = this.metered('embeddings', embedContentMetering)
    const count = this.free('count_tokens', { readsBody: true })
    this.#methods = new Map([
      ['generatecontent', generate],
      ['streamgeneratecontent', generate],
      ['embedcontent', embed],
      ['batchembedcontents', embed],
      ['predict', this.metered('predict', predictMetering)],
      ...(format === 'gemini' ? this.#batches() : []),
      ['counttokens', count],
      ['computetokens', count],
    ])
    this.#interactions = this.metered('generate_content', interactionsMetering)
    this.#models = this.free('models')
    this.#upload = this.free('files', { makes: namedIn('file.name', 'name'), upload: true })
    this.#cache = this.unmetered('cached_contents', { makes: CACHED, readsBody: true })
    this.#prolonged = this.unmetered('cached_contents', { readsBody: true })
    const objects = Object.entries(OBJECTS)
    this.#objects = new Map(objects.map(([name, endpoint]) => [name, this.free(endpoint, RULES[name])]))
    this.#lists = new Map(objects.map(([name, endpoint]) => [name, this.free(endpoint, { lists: true })]))
    this.#deletions = new Map(objects.map(([name, endpoint]) => [name, this.free(endpoint, { deletes: true })]))
  }

  #batches(): readonly (readonly [string, Operation])[] {
    const of = (endpoint: Endpoint, metering: Metering): Operation => ({
      ...this.metered('batches', googleBatchAnswer),
      batch: googleBatches(endpoint, metering),
    })
    return [
      ['batchgeneratecontent', of('generate_content', generateContentMetering)],
      ['asyncbatchembedcontent', of('embeddings', embedContentMetering)],
    ]
  }

  metered(endpoint: Endpoint, metering: Metering): Operation {
    return { format: this.format, endpoint, kind: 'metered', metering }
  }

  free(endpoint: Endpoint, objects?: ObjectRules): Operation {
    return { format: this.format, endpoint, kind: 'free', ...(objects ? { objects } : {}) }
  }

  unmetered(endpoint: Endpoint, objects?: ObjectRules): Operation {
    return { ...this.free(endpoint, objects), kind: 'unmetered' }
  }

  /** A POST of a method of a model. */
  method({ method, model }: GoogleMethod): OperationMatch | undefined {
    const operation = this.#methods.get(method)
    return operation?.kind === 'free' ? { operation, objectId: undefined, model } : of(operation)
  }

  /** A resource under a version of the API or a project: `segments` are those behind it. */
  resource(httpMethod: string, segments: readonly string[]): OperationMatch | undefined {
    const [collection = '', last = ''] = segments.map(decodedSegment)
    if (segments.length === 1) return this.#collection(httpMethod, collection)
    if (collection === 'interactions' && segments.length === 3 && segments[2] === 'cancel')
      return httpMethod === 'POST' ? this.#object(httpMethod, collection, last) : undefined
    if (segments.length !== 2) return undefined
    if (collection === 'models')
      return httpMethod === 'GET' && !last.includes(':')
        ? { operation: this.#models, objectId: undefined, model: last }
        : undefined
    const [id = '', method] = last.split(':')
    const allowed = method === undefined ? ['GET', 'PATCH', 'DELETE'] : [OBJECT_METHODS[method]]
    return allowed.includes(httpMethod) ? this.#object(httpMethod, collection, id) : undefined
  }

  #collection(httpMethod: string, collection: string): OperationMatch | undefined {
    if (collection === 'models') return httpMethod === 'GET' ? of(this.#models) : undefined
    if (httpMethod === 'GET') return of(this.#lists.get(collection))
    if (collection === 'files' && (httpMethod === 'POST' || httpMethod === 'PUT')) return of(this.#upload)
    if (httpMethod !== 'POST') return undefined
    if (collection === 'interactions') return of(this.#interactions)
    return collection === 'cachedContents' ? of(this.#cache) : undefined
  }

  #object(httpMethod: string, collection: string, objectId: string): OperationMatch | undefined {
    const prolongs = httpMethod === 'PATCH' && collection === 'cachedContents'
    const operation = prolongs
      ? this.#prolonged
      : (httpMethod === 'DELETE' ? this.#deletions : this.#objects).get(collection)
    return operation && OBJECT_ID.test(objectId) && !/^\.+$/.test(objectId) ? { operation, objectId } : undefined
  }
}

export function of(operation: Operation | undefined): OperationMatch | undefined {
  return operation && { operation, objectId: undefined }
}
