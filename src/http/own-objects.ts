/** Whether an account may use the objects that its request names: its own, and at an upstream that shares them nobody's. */
import type { Upstream } from '../config/snapshot.ts'
import { errorFacts, Refusal } from '../errors.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { ProviderObject, ProviderObjects } from './provider-objects.ts'
import type { IncomingCall } from './read-call.ts'

type Asking = Pick<IncomingCall, 'id' | 'key'>

/** The bound on what one request may name: each is a question to Redis. */
const IDS_MAX = 1_000

/** An object that is not there, in the words of whoever does not have it: never that another has it. */
export function notFound(id: string, asking: Asking, param: string | null = null): Refusal {
  const shown = id.length > 100 ? `${id.slice(0, 100)}…` : id
  return new Refusal(errorFacts('not_found', `No object "${shown}" was found.`, asking.id, { param }))
}

/** The objects of a request at its upstream, in their order. Throws Refusal for the first that is not the account's. */
export async function ownObjects(
  deps: Pick<CallDependencies, 'objects'>,
  asking: Asking,
  upstream: Upstream,
  ids: readonly string[],
  param: string | null = null,
): Promise<readonly (ProviderObject | undefined)[]> {
  if (ids.length > IDS_MAX) {
    const message = `The request names ${ids.length} objects at the provider; name at most ${IDS_MAX}.`
    throw new Refusal(errorFacts('invalid_request', message, asking.id, { param }))
  }
  const found = await Promise.all(ids.map((id) => findObject(deps.objects, asking, id, upstream)))
  found.forEach((object, i) => {
    if (object?.account === asking.key.account.id) return
    if (object === undefined && upstream.shared) return
    throw notFound(ids[i] as string, asking, param)
  })
  return found
}

/** The first of the upstreams at which the account has made it; undefined: at none. `others`: another account has. */
export async function findOwner(
  deps: Pick<CallDependencies, 'objects'>,
  asking: Asking,
  upstreams: readonly Upstream[],
  id: string,
): Promise<{ readonly upstream: Upstream | undefined; readonly others: ReadonlySet<Upstream> }> {
  const found = await Promise.all(upstreams.map((upstream) => findObject(deps.objects, asking, id, upstream)))
  const others = new Set(
    upstreams.filter((_, i) => found[i] !== undefined && found[i]?.account !== asking.key.account.id),
  )
  return { upstream: upstreams.find((_, i) => found[i]?.account === asking.key.account.id), others }
}

async function findObject(
  objects: ProviderObjects,
  asking: Asking,
  id: string,
  upstream: Upstream,
): Promise<ProviderObject | undefined> {
  try {
    return await objects.find(id, upstream)
  } catch (error) {
    if (!(error instanceof WalletUnavailable)) throw error
    const message = 'The owner of the object cannot be looked up at the moment. Try again.'
    throw new Refusal(errorFacts('wallet_unavailable', message, asking.id, { retryAfterSeconds: 2 }))
  }
}
