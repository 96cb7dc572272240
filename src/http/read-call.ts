/** From a request to a call that is read: its whole body, what it asks for, and the upstream that serves it. */
import type { IncomingMessage } from 'node:http'
import type { Format, Plan, Snapshot, VirtualKey } from '../config/snapshot.ts'
import type { CallFacts } from '../core/price-book.ts'
import { type ErrorFacts, errorFacts, Refusal } from '../errors.ts'
import { isForm, readForm } from '../providers/multipart/read-form.ts'
import { type CallRequest, type Form, InvalidCall, type Metering } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { CallerHeaders } from './caller-headers.ts'
import { chooseUpstream } from './choose-upstream.ts'
import { readBody } from './read-body.ts'
import type { Route } from './route.ts'
import type { TollgateResponse } from './tollgate-response.ts'
import type { UploadLimit } from './upload-clock.ts'

/** How far a request has come, for the metrics and the words of a refusal: "" where that is not known yet. */
export interface Whereabouts {
  /** The format whose error shape the caller reads. */
  dialect: Format
  account: string
  upstream: string
  model: string
  endpoint: string
}

/** A request that is known, authenticated, and of a metered operation. */
export interface IncomingCall {
  readonly id: string
  readonly startedAtMs: number
  readonly startedMonotonicMs: number
  readonly snapshot: Snapshot
  readonly key: VirtualKey
  readonly caller: CallerHeaders
  readonly route: Route
  readonly where: Whereabouts
}

/** What is known of a call once its body is read and its upstream chosen. */
export interface ReadCall extends IncomingCall {
  readonly plan: Plan
  readonly upstream: AdmittedCall['upstream']
  readonly provider: AdmittedCall['provider']
  readonly operation: AdmittedCall['operation']
  readonly metering: Metering
  readonly call: CallRequest
  readonly facts: CallFacts
  readonly body: Buffer
  /** How long the caller took to send the body. */
  readonly uploadMs: number
}

/** Undefined: the caller went away before the body was whole. Throws Refusal. */
export async function wholeBody(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<Buffer | undefined> {
  if (request.headers['content-encoding'] !== undefined && request.headers['content-encoding'] !== 'identity') {
    throw new Refusal(
      errorFacts(
        'invalid_request',
        'Send the body without Content-Encoding: a compressed body cannot be metered.',
        incoming.id,
        { param: 'content-encoding' },
      ),
    )
  }
  return boundedBody(deps, incoming, request, response)
}

/** The same of a body that nobody looks into. */
export async function boundedBody(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<Buffer | undefined> {
  const { bodyBytes } = incoming.snapshot.settings.limits
  const result = await readBody(request, response, { bytesMax: bodyBytes, time: uploadLimit(incoming) }, deps)
  if ('body' in result) return result.body
  if (result.problem === 'gone') return undefined
  if (result.problem === 'too_late') throw new Refusal(tooLate(incoming.id, result.limit))
  if (result.problem === 'no_room') {
    throw new Refusal(
      errorFacts(
        'overloaded',
        'The gateway has no room for another request body at the moment; try again.',
        incoming.id,
        {
          rule: 'uploads',
          retryAfterSeconds: 5,
        },
      ),
    )
  }
  throw new Refusal(
    errorFacts('body_too_large', `The body is larger than ${bodyBytes} bytes (limits.body_bytes).`, incoming.id, {
      rule: 'limits.body_bytes',
    }),
  )
}

export function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return coding !== undefined || (length !== undefined && length !== '0')
}

/** How long the request's body may take. */
export function uploadLimit({ route, snapshot }: IncomingCall): UploadLimit {
  const { requestMs, fileMs } = snapshot.settings.limits
  return route.matches[0]?.operation.objects?.upload === true
    ? { ms: fileMs, rule: 'limits.file_timeout' }
    : { ms: requestMs, rule: 'limits.request_timeout' }
}

export function tooLate(id: string, { ms, rule }: UploadLimit): ErrorFacts {
  const message = `The body was not whole within ${ms / 1000} s (${rule}); send it faster, or a smaller one.`
  return errorFacts('upload_timeout', message, id, { rule })
}

/** The body's parts, where it is a form and the operation takes forms. Throws Refusal. */
export async function formOf(
  incoming: IncomingCall,
  request: IncomingMessage,
  body: Buffer,
): Promise<Form | undefined> {
  const contentType = request.headers['content-type']
  const takesForms = incoming.route.matches.some((match) => match.operation.metering?.takesForms)
  if (!takesForms || !isForm(contentType)) return undefined
  try {
    return await readForm(body, contentType as string)
  } catch (error) {
    throw asRefusal(error, incoming.id)
  }
}

/** Throws Refusal: the body cannot be read, or no upstream serves the model. */
export function readCall(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  body: Buffer,
  form: Form | undefined,
  uploadMs: number,
): ReadCall {
  const { key, where } = incoming
  const { upstream, operation, call } = chooseUpstream(incoming, request, body, form)
  where.upstream = upstream.name
  where.dialect = upstream.format
  where.endpoint = operation.endpoint
  return {
    ...incoming,
    plan: key.plan,
    upstream,
    provider: deps.providers.get(upstream.format) as ReadCall['provider'],
    operation,
    metering: operation.metering as Metering,
    call,
    body,
    uploadMs,
    facts: {
      account: key.account.id,
      plan: key.plan.name,
      key: key.id,
      upstream: upstream.name,
      model: call.model === '' ? undefined : call.model,
      endpoint: operation.endpoint,
      labels: key.labels,
    },
  }
}

function asRefusal(error: unknown, id: string): unknown {
  if (!(error instanceof InvalidCall)) return error
  return new Refusal(errorFacts('invalid_request', error.message, id, { param: error.field ?? null }))
}
