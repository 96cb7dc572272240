/** The upstream's side of a socket, with our own credential. */
import type { IncomingMessage } from 'node:http'
import type { WebSocket } from 'ws'
import type { Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import type { IncomingCall } from '../http/read-call.ts'
import { NoCredential } from '../proxy/credentials/upstream-credentials.ts'
import { upstreamRequestHeaders } from '../proxy/headers.ts'
import { targetPath } from '../proxy/upstream.ts'
import { dial, type UpstreamRefusal } from './dial.ts'

/** Throws Refusal: no socket, and nothing of the upstream's to hand on. */
export async function connectUpstream(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  request: IncomingMessage,
  protocols: readonly string[],
): Promise<{ readonly socket: WebSocket } | { readonly refusal: UpstreamRefusal }> {
  const { id, route, snapshot } = incoming
  const headers = upstreamRequestHeaders(request.rawHeaders, upstream, undefined)
  const path = targetPath(upstream, route.path, route.query)
  try {
    await deps.credentials.authorize(upstream, { method: 'GET', path, headers, body: undefined })
  } catch (error) {
    if (!(error instanceof NoCredential)) throw error
    throw new Refusal(errorFacts('upstream_unreachable', error.message, id))
  }
  const dialled = await dial(upstream, { path, headers, protocols }, snapshot.settings.limits)
  if ('failure' in dialled) {
    deps.log.warn({ request_id: id, upstream: upstream.name, cause: dialled.failure }, 'upstream gave no answer')
    throw new Refusal(
      dialled.timeout
        ? errorFacts('upstream_timeout', `The upstream "${upstream.name}" did not answer in time.`, id)
        : errorFacts('upstream_unreachable', `The upstream "${upstream.name}" could not be reached.`, id),
    )
  }
  if ('refusal' in dialled) {
    const { status } = dialled.refusal
    if (status === 401 || status === 403) deps.credentials.refused(upstream)
    if (status >= 300 && status < 400)
      throw new Refusal(
        errorFacts(
          'upstream_unreachable',
          `The upstream "${upstream.name}" answered with a redirect (${status}), which is never followed.`,
          id,
        ),
      )
  }
  return dialled
}
