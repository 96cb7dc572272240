/** A request that costs nothing here, passed on as it is. */
import type { IncomingMessage } from 'node:http'
import type { Endpoint, Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { targetPath } from '../proxy/upstream.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { IncomingCall } from './read-call.ts'
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
  const counted = { account: key.account.id, upstream: upstream.name, model: '', endpoint }
  if (request.headers.expect !== undefined) response.writeContinue()
  try {
    const result = await deps.passthrough.send(
      request,
      response,
      upstream,
      targetPath(upstream, route.path, route.query),
      ['x-tollgate-request-id', id, 'x-tollgate-account', key.account.id, ...ownHeaders],
    )
    deps.metrics.request({ ...counted, outcome: (result.status ?? 500) < 500 ? 'passed' : 'failed' })
    return result.bytes
  } catch (error) {
    deps.metrics.request({ ...counted, outcome: 'failed' })
    deps.log.warn(
      { request_id: id, upstream: upstream.name, cause: (error as NodeJS.ErrnoException).code },
      'upstream gave no answer',
    )
    throw new Refusal(errorFacts('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`, id))
  }
}
