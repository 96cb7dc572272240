/** A request that costs nothing here, passed on as it is. */
import type { IncomingMessage } from 'node:http'
import type { Endpoint, Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { NoCredential } from '../proxy/credentials/upstream-credentials.ts'
import { RequestTooLarge, RequestTooLate, type SendOptions } from '../proxy/passthrough.ts'
import { targetPath } from '../proxy/upstream.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { boundedBody, hasBody, type IncomingCall, tooLate, uploadLimit } from './read-call.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** `body`: the request's, where it was read already. */
export type ForwardOptions = Pick<SendOptions, 'body' | 'watch' | 'onRequestBytes' | 'editHeaders' | 'editBody'> & {
  /** Further headers of ours, [name, value, …]. */
  readonly ownHeaders?: readonly string[]
}

/** Resolves with the bytes of the answer when it has ended. Throws Refusal where the upstream gave none. */
export async function forwardUnmetered(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  endpoint: Endpoint,
  request: IncomingMessage,
  response: TollgateResponse,
  options: ForwardOptions = {},
): Promise<number> {
  const { key, id, route, snapshot } = incoming
  const { fileBytes } = snapshot.settings.limits
  if (Number(request.headers['content-length'] ?? 0) > fileBytes) throw tooLarge(id, fileBytes)
  let { body } = options
  if (body === undefined && deps.credentials.needsBody(upstream)) {
    body = await boundedBody(deps, incoming, request, response)
    if (body === undefined) return 0
    options.onRequestBytes?.(body)
  } else if (body === undefined && request.headers.expect !== undefined) response.writeContinue()
  const time = uploadLimit(incoming)
  if (body === undefined && hasBody(request))
    deps.uploadClock.begin(request, time, () => deps.passthrough.endLate(request, response))
  const counted = { account: key.account.id, upstream: upstream.name, model: '', endpoint }
  try {
    const result = await deps.passthrough.send(
      request,
      response,
      upstream,
      targetPath(upstream, route.path, route.query),
      {
        ...options,
        ownHeaders: ['x-tollgate-request-id', id, 'x-tollgate-account', key.account.id, ...(options.ownHeaders ?? [])],
        requestBytesMax: fileBytes,
        ...(body === undefined ? {} : { body }),
      },
    )
    deps.metrics.request({ ...counted, outcome: (result.status ?? 500) < 500 ? 'passed' : 'failed' })
    return result.bytes
  } catch (error) {
    deps.metrics.request({ ...counted, outcome: 'failed' })
    if (error instanceof RequestTooLarge) throw tooLarge(id, fileBytes)
    if (error instanceof RequestTooLate) throw new Refusal(tooLate(id, time))
    if (error instanceof NoCredential) throw new Refusal(errorFacts('upstream_unreachable', error.message, id))
    deps.log.warn(
      { request_id: id, upstream: upstream.name, cause: (error as NodeJS.ErrnoException).code },
      'upstream gave no answer',
    )
    throw new Refusal(errorFacts('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`, id))
  }
}

function tooLarge(id: string, fileBytes: number): Refusal {
  const message = `The body is larger than ${fileBytes} bytes (limits.file_bytes).`
  return new Refusal(errorFacts('body_too_large', message, id, { rule: 'limits.file_bytes' }))
}
