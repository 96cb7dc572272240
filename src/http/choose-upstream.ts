/** Reads a call's body, and finds the upstream that serves its model. */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'
import { type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import {
  type CallRequest,
  type Form,
  InvalidCall,
  type Metering,
  type Operation,
  type OperationMatch,
} from '../providers/provider.ts'
import type { IncomingCall } from './read-call.ts'
import { upstreamForModel } from './route.ts'

export interface Chosen {
  readonly upstream: Upstream
  readonly operation: Operation
  readonly call: CallRequest
}

/** The body as one of the formats that know the path reads it. */
type Reading =
  | { readonly match: OperationMatch; readonly call: CallRequest }
  | { readonly match: OperationMatch; readonly call: undefined; readonly problem: InvalidCall }

/** Throws Refusal: no format that knows the path can read the body, or no upstream serves the model. */
export function chooseUpstream(
  incoming: IncomingCall,
  request: IncomingMessage,
  body: Buffer,
  form: Form | undefined,
): Chosen {
  const { route, snapshot, where } = incoming
  const readings = route.matches.map((match) => readAs(incoming, match, request, body, form))
  const readable = readings.filter((reading) => reading.call !== undefined)
  // Formats that share a path name their model alike; a body that one of them cannot read may be another's.
  const model = readable[0]?.call.model
  if (model !== undefined) where.model = model
  const matches = readable.map(({ match }) => match)
  const chosen = model === undefined ? undefined : upstreamForModel({ ...route, matches }, model, snapshot.settings)
  if (chosen === undefined) throw new Refusal(unserved(incoming, readings, model))
  const call = readable.find(({ match }) => match === chosen.match)?.call as CallRequest
  return { upstream: chosen.upstream, operation: chosen.match.operation, call }
}

function readAs(
  incoming: IncomingCall,
  match: OperationMatch,
  request: IncomingMessage,
  body: Buffer,
  form: Form | undefined,
): Reading {
  const { path, query } = incoming.route
  const { jsonDepth } = incoming.snapshot.settings.limits
  const metering = match.operation.metering as Metering
  try {
    const exact = incoming.key.plan.hold.tokenizer === 'exact'
    const source = { path, query, headers: request.headers, jsonDepth, exact }
    return { match, call: metering.readCall(body, form ? { ...source, form } : source) }
  } catch (error) {
    if (!(error instanceof InvalidCall)) throw error
    return { match, call: undefined, problem: error }
  }
}

/** Where the format that answers could not read the body, that is what the caller must know. */
function unserved(incoming: IncomingCall, readings: readonly Reading[], model: string | undefined): ErrorFacts {
  const { route, id } = incoming
  const unread = readings.filter((reading) => reading.call === undefined)
  const told =
    unread.find(({ match }) => match.operation.format === route.dialect) ?? (model === undefined && unread[0])
  if (told) return errorFacts('invalid_request', told.problem.message, id, { param: told.problem.field ?? null })
  return errorFacts(
    'not_entitled',
    `No upstream serves the model "${model}" on this path; ask for one that the gateway's config names.`,
    id,
    { rule: 'upstreams', param: 'model' },
  )
}
