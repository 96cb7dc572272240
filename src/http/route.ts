/** Which operation and which upstream a path means. Pure: addresses come from the config alone. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Format, Settings, Snapshot, Upstream } from '../config/snapshot.ts'
import { anyGlobMatches, globMatches } from '../core/glob.ts'
import type { OperationMatch, Provider } from '../providers/provider.ts'
import { pathMatches } from './path-matches.ts'

export interface Route {
  /** Path without `/u/NAME`, as it goes upstream. */
  readonly path: string
  /** "" or "?…", as it came. */
  readonly query: string
  /** Upstream named by `/u/NAME/…`. */
  readonly named: Upstream | undefined
  /** What each format that knows the path makes of it; empty: not metered and not free. */
  readonly matches: readonly OperationMatch[]
  /** The format whose error shape the caller reads. */
  readonly dialect: Format
}

export type RouteResult = Route | { readonly unknownUpstream: string; readonly dialect: Format }

export function findRoute(
  method: string,
  target: string,
  headers: IncomingHttpHeaders,
  snapshot: Snapshot,
  providers: ReadonlyMap<Format, Provider>,
): RouteResult {
  const mark = target.indexOf('?')
  let path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark)
  let named: Upstream | undefined
  if (path.startsWith('/u/')) {
    const end = path.indexOf('/', 3)
    const name = end < 0 ? path.slice(3) : path.slice(3, end)
    path = end < 0 ? '/' : path.slice(end)
    named = snapshot.settings.upstreams.find((upstream) => upstream.name === name)
    if (named === undefined) return { unknownUpstream: name, dialect: dialectOf(path, headers, snapshot.settings) }
  }
  const found = pathMatches(providers, method, path, headers, named?.format)
  const matches =
    found.length < 2 ? found : byHeader(spoken(found, snapshot), dialectOf(path, headers, snapshot.settings))
  return {
    path,
    query,
    named,
    matches,
    dialect: named?.format ?? matches[0]?.operation.format ?? dialectOf(path, headers, snapshot.settings),
  }
}

/** Of formats that share a path only those count that an upstream speaks. */
function spoken(matches: readonly OperationMatch[], { settings }: Snapshot): readonly OperationMatch[] {
  const found = matches.filter(({ operation }) =>
    settings.upstreams.some((upstream) => upstream.format === operation.format),
  )
  return found.length > 0 ? found : matches
}

/** Of a path that is left to several formats the one whose header the caller sends is meant. */
function byHeader(matches: readonly OperationMatch[], dialect: Format): readonly OperationMatch[] {
  if (matches.length < 2 || dialect === 'openai') return matches
  const first = matches.filter(({ operation }) => operation.format === dialect)
  return first.length > 0 ? [...first, ...matches.filter((match) => !first.includes(match))] : matches
}

/** Google's versions, which no other API has: its callers may also send their key as `?key=` alone. */
const GOOGLE_PATH = /\/v1(alpha|beta\d*)(\/|$)/

/** Paths of one API alone, metered or not: they tell it where an upstream speaks it. */
const OWN_PATHS: readonly (readonly [RegExp, Format])[] = [
  [/\/api\/[a-z]+(\/|$)/, 'ollama'],
  [/\/v2\//, 'cohere'],
]

/** Whose words a refusal has where the path says too little: by header, by path, else those of the only format there is. */
function dialectOf(path: string, headers: IncomingHttpHeaders, { upstreams }: Settings): Format {
  if (headers['anthropic-version'] !== undefined) return 'anthropic'
  // Sent by every AWS SDK with each attempt.
  if (headers['amz-sdk-request'] !== undefined) return 'bedrock'
  if (headers['x-goog-api-key'] !== undefined || GOOGLE_PATH.test(path)) return 'gemini'
  const own = OWN_PATHS.find(
    ([pattern, format]) => pattern.test(path) && upstreams.some((upstream) => upstream.format === format),
  )
  if (own) return own[1]
  const only = upstreams[0]?.format
  return only !== undefined && upstreams.every((upstream) => upstream.format === only) ? only : 'openai'
}

/** The first upstream in the file whose format has the operation and whose models fit. */
export function upstreamForModel(
  route: Route,
  model: string,
  settings: Settings,
): { upstream: Upstream; match: OperationMatch } | undefined {
  for (const upstream of route.named === undefined ? settings.upstreams : [route.named]) {
    // A call that names no model goes to the first of the format that serves any.
    if (route.named === undefined && model !== '' && !anyGlobMatches(upstream.models, model)) continue
    if (route.named === undefined && upstream.models.length === 0) continue
    const match = route.matches.find((candidate) => candidate.operation.format === upstream.format)
    if (match !== undefined) return { upstream, match }
  }
  return undefined
}

/** For a call that names no model: by name, else by the header that only one API uses, else the first of the format. */
export function upstreamWithoutModel(route: Route, settings: Settings): Upstream | undefined {
  return (
    route.named ??
    settings.upstreams.find((upstream) => upstream.format === route.dialect && upstream.models.length > 0)
  )
}

/** Whether the config names this path as unmetered. */
export function isUnmetered(method: string, path: string, settings: Settings): boolean {
  return settings.metering.unmeteredPaths.some(
    (pattern) => (pattern.method === '*' || pattern.method === method) && globMatches(pattern.path, path),
  )
}

/** A path that has rules of its own, in other capitals: an upstream may read it as the same, so no pattern covers it. */
export function isKnownInOtherCase(method: string, path: string, providers: ReadonlyMap<Format, Provider>): boolean {
  const lower = path.toLowerCase()
  if (lower === path) return false
  for (const provider of providers.values()) {
    if (provider.match(method, lower) !== undefined) return true
  }
  return false
}

const OBJECT_COLLECTIONS =
  /\/(files|batches|responses|conversations|vector_stores|assistants|threads|fine_tuning|uploads|evals|containers|chat\/completions|videos|skills|cachedContents|tunedModels|tuningJobs|operations|interactions|batchPredictionJobs|fileSearchStores|corpora)(\/|$)/i

/** Whether an unmetered path lists or changes objects at the provider: those need `shared: true`. Lists of models do not. */
export function touchesObjects(path: string): boolean {
  return OBJECT_COLLECTIONS.test(path)
}
