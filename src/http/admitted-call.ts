import type { Plan, Snapshot, Upstream, VirtualKey } from '../config/snapshot.ts'
import type { CostCeiling } from '../core/cost-ceiling.ts'
import type { CallFacts, CallPrice } from '../core/price-book.ts'
import type { ModelPrice } from '../jobs/long-call.ts'
import type { RequestLabels } from '../metrics/metric-events.ts'
import type { CallRequest, Metering, Operation, Provider } from '../providers/provider.ts'
import type { Held, HoldTerms } from '../wallet/wallet-types.ts'
import type { CallerHeaders } from './caller-headers.ts'
import type { HeldInput } from './hold-sizing.ts'

/** What observe would have refused a call for. */
export interface Would {
  readonly code: string
  readonly rule: string | null
}

/** Everything that was decided of a call before it is sent. Nothing of it changes afterwards. */
export interface AdmittedCall {
  readonly id: string
  readonly startedAtMs: number
  /** performance.now() when the request came. */
  readonly startedMonotonicMs: number
  /** How long the caller took to send the body. */
  readonly uploadMs: number
  readonly snapshot: Snapshot
  /** As it goes upstream. */
  readonly route: { readonly path: string; readonly query: string }
  readonly key: VirtualKey
  readonly plan: Plan
  readonly upstream: Upstream
  readonly provider: Provider
  readonly operation: Operation
  readonly metering: Metering
  readonly call: CallRequest
  readonly caller: CallerHeaders
  /** What prices are matched by. */
  readonly facts: CallFacts
  /** For metrics. */
  readonly where: RequestLabels
  /** Undefined: nothing prices the model, and it was let through all the same (observe, allow_unmetered). */
  readonly price: CallPrice | undefined
  /** Of a batch: a price for each model in it. */
  readonly batchPrices?: readonly ModelPrice[]
  /** Decimals of the price's cost unit. */
  readonly costScale: number
  /** Its input as it is held. */
  readonly input: HeldInput
  readonly ceiling: CostCeiling
  readonly terms: HoldTerms
  /** Undefined: Redis was away and observe let the call pass; it is settled from the outbox. */
  readonly held: Held | undefined
  readonly would: Would | undefined
  /** The limit that the wallet allowed, where it is below what the call would have had. */
  readonly trimmedTo: number | undefined
  readonly body: Buffer
}
