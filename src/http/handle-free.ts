/** Free operations: a key is needed, no hold is made, and an object answers only to the account that made it. */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import type { OperationMatch } from '../providers/provider.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { forwardUnmetered } from './forward-unmetered.ts'
import type { IncomingCall } from './read-call.ts'
import { upstreamForModel, upstreamWithoutModel } from './route.ts'
import type { TollgateResponse } from './tollgate-response.ts'

/** Throws Refusal; resolves when the answer has ended. */
export async function handleFree(
  deps: CallDependencies,
  incoming: IncomingCall,
  request: IncomingMessage,
  response: TollgateResponse,
): Promise<void> {
  const match = incoming.route.matches[0] as OperationMatch
  const upstream =
    match.objectId === undefined ? withoutObject(incoming) : await ownerUpstream(deps, incoming, match.objectId)
  await forwardUnmetered(deps, incoming, upstream, match.operation.endpoint, request, response)
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

/** The upstream that keeps the object, for its owner; the provider's 404 for everyone else. */
async function ownerUpstream(deps: CallDependencies, incoming: IncomingCall, objectId: string): Promise<Upstream> {
  const { route, snapshot, key, id } = incoming
  const object = await findObject(deps, incoming, objectId)
  if (object === undefined) {
    const upstream = withoutObject(incoming)
    if (upstream.shared) return upstream
  } else if (object.account === key.account.id) {
    const upstream = route.named ?? snapshot.settings.upstreams.find((candidate) => candidate.name === object.upstream)
    if (upstream !== undefined && upstream.name === object.upstream) return upstream
  }
  throw new Refusal(errorFacts('not_found', `No object "${objectId}" was found.`, id))
}

async function findObject(
  deps: CallDependencies,
  incoming: IncomingCall,
  objectId: string,
): ReturnType<CallDependencies['objects']['find']> {
  try {
    return await deps.objects.find(objectId)
  } catch (error) {
    if (!(error instanceof WalletUnavailable)) throw error
    throw new Refusal(
      errorFacts(
        'wallet_unavailable',
        'The owner of the object cannot be looked up at the moment. Try again.',
        incoming.id,
        { retryAfterSeconds: 2 },
      ),
    )
  }
}
