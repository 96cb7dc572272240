/**
 * Free operations, and unmetered paths of objects: a key is needed, no hold is made, and an object answers only to the
 * account that made it.
 */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { idsInBody } from '../providers/ids-in-body.ts'
import { readJsonBody } from '../providers/json-body.ts'
import type { ObjectRules, OperationMatch } from '../providers/provider.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import { editAddress } from './answer-address.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { walletUnavailable } from './call-refusals.ts'
import { type ForwardOptions, forwardUnmetered } from './forward-unmetered.ts'
import { findOwner, notFound, ownObjects } from './own-objects.ts'
import { hasBody, type IncomingCall, wholeBody } from './read-call.ts'
import { readUpload, type UploadReading } from './read-upload.ts'
import { upstreamForModel, upstreamWithoutModel } from './route.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import { callerAddress, rewriteUploadAddress } from './upload-address.ts'
import { watchObjects } from './watch-objects.ts'

const NO_RULES: ObjectRules = {}

export interface FreeOptions {
  /** Further headers of ours. */
  readonly ownHeaders?: readonly string[]
  /** The body, where it was read already, and names nothing. */
  readonly body?: Buffer
}

/** Throws Refusal; resolves with the bytes of the answer when it has ended. */
export async function handleFree(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
  { ownHeaders = [], body: readBody }: FreeOptions = {},
): Promise<number> {
  const first = incoming.route.matches[0] as OperationMatch
  const rules = first.operation.objects ?? NO_RULES
  const reads = rules.readsBody === true && readBody === undefined && hasBody(request)
  const body = reads ? await wholeBody(deps, incoming, request, response) : readBody
  if (reads && body === undefined) return 0
  const ids = reads && body !== undefined ? namedIn(incoming, rules, body) : []
  const upstream = await upstreamOf(deps, incoming, first, ids)
  const match = incoming.route.matches.find(({ operation }) => operation.format === upstream.format) ?? first
  incoming.where.upstream = upstream.name
  if (rules.lists && !upstream.shared) throw notShared(incoming, upstream)
  await ownObjects(deps, incoming, upstream, ids)
  await refuseOthers(deps, incoming, upstream, match.parts ?? [])
  if (rules.deletes && match.objectId !== undefined) await deps.longCalls.askNow(upstream.name, match.objectId)
  const upload =
    rules.upload && match.objectId === undefined ? await uploadOf(deps, incoming, request, upstream) : undefined
  const watch = watchObjects(deps, incoming, upstream, match, upload)
  const options = {
    ownHeaders,
    ...(body === undefined ? {} : { body }),
    ...(watch ? { watch } : {}),
    ...addressEdits(incoming, request, upstream, match),
    ...(upload ? { onRequestBytes: (bytes: Buffer) => upload.push(bytes) } : {}),
  }
  const bytes = await forwardUnmetered(deps, incoming, upstream, match.operation.endpoint, request, response, options)
  if (rules.nudges && match.objectId !== undefined) deps.longCalls.hurry(upstream.name, match.objectId)
  return bytes
}

async function uploadOf(
  deps: CallDependencies,
  { id, route, snapshot }: IncomingCall,
  request: IncomingMessage,
  upstream: Upstream,
): Promise<UploadReading | undefined> {
  const { batchFiles } = deps
  const { limits } = snapshot.settings
  try {
    return await readUpload(request, route.query, deps.providers.get(upstream.format), { batchFiles, upstream, limits })
  } catch (error) {
    if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(id))
    throw error
  }
}

/** Addresses at the provider, which a client would dial as they stand. */
function addressEdits(
  { route, snapshot }: IncomingCall,
  request: IncomingMessage,
  upstream: Upstream,
  { operation, objectId }: OperationMatch,
): Pick<ForwardOptions, 'editHeaders' | 'editBody'> {
  const { upload, address } = operation.objects ?? NO_RULES
  const caller = upload || address ? callerAddress(request) : undefined
  if (caller === undefined) return {}
  if (upload) return { editHeaders: (headers) => rewriteUploadAddress(headers, caller, upstream) }
  if (address === undefined || objectId === undefined) return {}
  const path = route.path.slice(0, route.path.indexOf(objectId) + objectId.length)
  return { editBody: editAddress(address, path, caller, snapshot.settings.limits.jsonDepth) }
}

/** Ids that the body names. Throws Refusal: it is no JSON, or asks for what is not free. */
function namedIn(incoming: IncomingCall, rules: ObjectRules, body: Buffer): readonly string[] {
  const { value } = readJsonBody(body, incoming.snapshot.settings.limits.jsonDepth)
  const generating = rules.notFreeWith?.find((name) => value[name] !== undefined && value[name] !== null)
  if (generating !== undefined) {
    const message = `"${generating}" makes this path generate, which is not metered here; use the chat or responses endpoint.`
    throw new Refusal(errorFacts('endpoint_not_metered', message, incoming.id, { param: generating }))
  }
  return idsInBody(value)
}

/** Where the path's object is, else where the body's first one is; without any, by name, header or format. */
async function upstreamOf(
  deps: CallDependencies,
  incoming: IncomingCall,
  match: OperationMatch,
  ids: readonly string[],
): Promise<Upstream> {
  const { route, snapshot } = incoming
  const { settings } = snapshot
  const object = match.objectId ?? ids[0]
  if (object === undefined) return withoutObject(incoming)
  const formats = new Set(route.matches.map(({ operation }) => operation.format))
  const candidates = route.named ? [route.named] : settings.upstreams.filter(({ format }) => formats.has(format))
  const owner = await findOwner(deps, incoming, candidates, object)
  if (owner.upstream !== undefined) return owner.upstream
  const upstream = withoutObject(incoming)
  if (upstream.shared && !owner.others.has(upstream)) return upstream
  throw notFound(object, incoming)
}

function withoutObject(incoming: IncomingCall): Upstream {
  const { route, snapshot } = incoming
  const model = route.matches[0]?.model
  const upstream =
    model === undefined
      ? upstreamWithoutModel(route, snapshot.settings)
      : upstreamForModel(route, model, snapshot.settings)?.upstream
  if (upstream === undefined)
    throw new Refusal(errorFacts('not_entitled', 'No upstream serves this path.', incoming.id, { rule: 'upstreams' }))
  return upstream
}

/** Parts of an object that is the account's own may be unknown here (a run's messages), but not another's. */
async function refuseOthers(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  parts: readonly string[],
): Promise<void> {
  for (const part of parts) {
    const { others } = await findOwner(deps, incoming, [upstream], part)
    if (others.size > 0) throw notFound(part, incoming)
  }
}

export function notShared(incoming: IncomingCall, upstream: Upstream): Refusal {
  return new Refusal(
    errorFacts(
      'not_found',
      `The upstream "${upstream.name}" does not share its objects; objects answer only to the account that made them through the gateway.`,
      incoming.id,
      { rule: 'shared' },
    ),
  )
}
