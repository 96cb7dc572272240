/** A request that costs nothing here, passed on as it is. */
import type { IncomingMessage } from 'node:http'
import type { Endpoint, Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { NoCredential } from '../proxy/credentials/upstream-credentials.ts'
import { targetPath } from '../proxy/upstream.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { boundedBody, type IncomingCall } from './read-call.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** `ownHeaders`: further headers of ours, [name, value, …]. Resolves with the bytes of the answer when it has ended. Throws Refusal where the upstream gave none. */
export async function forwardUnmetered(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  endpoint: Endpoint,
  request: IncomingMessage,
  response: TollgateResponse,
  ownHeaders: readonly string[] = [],
): Promise<number> {
  const { key, id, route } = incoming
  let body: Buffer | undefined
  if (deps.credentials.needsBody(upstream)) {
    body = await boundedBody(deps, incoming, request, response)
    if (body === undefined) return 0
  } else if (request.headers.expect !== undefined) response.writeContinue()
  const counted = { account: key.account.id, upstream: upstream.name, model: '', endpoint }
  try {
    const result = await deps.passthrough.send(
      request,
      response,
      upstream,
      targetPath(upstream, route.path, route.query),
      ['x-tollgate-request-id', id, 'x-tollgate-account', key.account.id, ...ownHeaders],
      body,
    )
    deps.metrics.request({ ...counted, outcome: (result.status ?? 500) < 500 ? 'passed' : 'failed' })
    return result.bytes
  } catch (error) {
    deps.metrics.request({ ...counted, outcome: 'failed' })
    if (error instanceof NoCredential) throw new Refusal(errorFacts('upstream_unreachable', error.message, id))
    deps.log.warn(
      { request_id: id, upstream: upstream.name, cause: (error as NodeJS.ErrnoException).code },
      'upstream gave no answer',
    )
    throw new Refusal(errorFacts('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`, id))
  }
}
