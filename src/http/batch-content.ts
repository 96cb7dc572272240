/** What a batch is made of, from its files and its body, and the upstream that it goes to. */
import type { Upstream } from '../config/snapshot.ts'
import type { BatchGroup, BatchSummary } from '../core/batch-sum.ts'
import { errorFacts, Refusal } from '../errors.ts'
import type { BatchRequest } from '../providers/provider.ts'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { walletUnavailable } from './call-refusals.ts'
import { findOwner, notFound, ownObjects } from './own-objects.ts'
import type { IncomingCall } from './read-call.ts'
import { upstreamForModel, upstreamWithoutModel } from './route.ts'

export interface BatchContent {
  readonly upstream: Upstream
  /** Each with its model. */
  readonly groups: readonly BatchGroup[]
  /** Objects at the provider that it names: all are the account's own. */
  readonly objects: readonly string[]
}

/** Throws Refusal: a file is not known or no batch can be made of it, lines are not of its endpoint, no upstream fits. */
export async function batchContent(
  deps: CallDependencies,
  incoming: IncomingCall,
  batch: BatchRequest,
): Promise<BatchContent> {
  const upstream = await upstreamOf(deps, incoming, batch)
  await ownObjects(deps, incoming, upstream, batch.files, 'input_file_id')
  if (batch.addsTo !== undefined) await refuseCounted(deps, incoming, upstream, batch.addsTo)
  const summaries: BatchSummary[] = batch.lines ? [batch.lines] : []
  const objects = new Set([...batch.files, ...batch.objects])
  for (const id of batch.files) {
    const file = await findFile(deps, incoming, upstream, id)
    summaries.push(file.summary)
    for (const object of file.objects) objects.add(object)
  }
  await ownObjects(deps, incoming, upstream, [...objects])
  const groups = summaries.flatMap((summary) => summary.groups.map((group) => ofJob(incoming, batch, group)))
  return { upstream, groups: groups.filter((group) => group !== undefined), objects: [...objects] }
}

/** All results of a batch that was made of a file are that call's: others among them would be charged twice. */
async function refuseCounted(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  batchId: string,
): Promise<void> {
  try {
    if (!(await deps.longCalls.goesOn(upstream.name, batchId))) return
  } catch (error) {
    if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(incoming.id))
    throw error
  }
  const message = `The batch "${batchId}" is made of a file; make another for these requests.`
  throw new Refusal(errorFacts('invalid_request', message, incoming.id, { param: 'batch_requests' }))
}

async function upstreamOf(deps: CallDependencies, incoming: IncomingCall, batch: BatchRequest): Promise<Upstream> {
  const { route, snapshot, id } = incoming
  const { settings } = snapshot
  const object = batch.files[0] ?? batch.objects[0]
  if (object !== undefined) {
    const formats = new Set(route.matches.map(({ operation }) => operation.format))
    const candidates = route.named ? [route.named] : settings.upstreams.filter(({ format }) => formats.has(format))
    const owner = await findOwner(deps, incoming, candidates, object)
    if (owner.upstream !== undefined) return owner.upstream
  }
  const model = batch.model ?? batch.lines?.groups[0]?.model
  const upstream = model ? upstreamForModel(route, model, settings)?.upstream : upstreamWithoutModel(route, settings)
  if (upstream !== undefined) return upstream
  const message = `No upstream serves the model "${model}" on this path; ask for one that the gateway's config names.`
  throw new Refusal(errorFacts('not_entitled', message, id, { rule: 'upstreams', param: 'model' }))
}

async function findFile(
  deps: CallDependencies,
  incoming: IncomingCall,
  upstream: Upstream,
  id: string,
): Promise<{ readonly summary: BatchSummary; readonly objects: readonly string[] }> {
  try {
    const file = await deps.batchFiles.find(id, upstream)
    if (file === undefined) throw notFound(id, incoming, 'input_file_id')
    if ('summary' in file) return file
    const message = `No batch can be made of the file "${id}": ${file.problem} Upload it anew.`
    throw new Refusal(errorFacts('invalid_request', message, incoming.id, { param: 'input_file_id' }))
  } catch (error) {
    if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(incoming.id))
    throw error
  }
}

/** Lines with the job's model, where they name none. Undefined: lines of a free endpoint. */
function ofJob(incoming: IncomingCall, batch: BatchRequest, group: BatchGroup): BatchGroup | undefined {
  if (batch.endpoint !== undefined && group.endpoint !== batch.endpoint) {
    if (batch.endpoint === 'moderations') return undefined
    const message = `The batch is of ${batch.endpoint}, and ${group.lines} of its lines are ${group.endpoint}.`
    throw new Refusal(errorFacts('invalid_request', message, incoming.id, { param: 'endpoint' }))
  }
  const { model = group.model } = batch
  if (group.model !== '' && group.model !== model && !model.endsWith(`/${group.model}`)) {
    const message = `The batch is of the model "${model}", and ${group.lines} of its lines name "${group.model}".`
    throw new Refusal(errorFacts('invalid_request', message, incoming.id, { param: 'model' }))
  }
  if (model !== '') return { ...group, model, imageOutput: group.imageOutput || batch.imageOutput === true }
  throw new Refusal(
    errorFacts('invalid_request', 'The lines name no model, and neither does the batch.', incoming.id, {
      param: 'model',
    }),
  )
}
