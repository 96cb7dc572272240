import type { Callers } from '../accounts/callers.ts'
import type { Format, Snapshot } from '../config/snapshot.ts'
import type { LongCalls } from '../jobs/long-calls.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Provider } from '../providers/provider.ts'
import type { UpstreamCredentials } from '../proxy/credentials/upstream-credentials.ts'
import type { Passthrough } from '../proxy/passthrough.ts'
import type { UpstreamPools } from '../proxy/upstream.ts'
import type { CommandDeadlines } from '../redis/command-deadlines.ts'
import type { ExactCounter } from '../tokenizer/exact-counter.ts'
import type { Tokens } from '../tokens/token.ts'
import type { AllowanceKeeper } from '../wallet/allowance-keeper.ts'
import type { OutboxShape } from '../wallet/outbox-types.ts'
import type { Wallet } from '../wallet/wallet-types.ts'
import type { BatchFiles } from './batch-files.ts'
import type { OpenCall } from './call-guard.ts'
import type { DeniedModels } from './denied-models.ts'
import type { HoldSizing } from './hold-sizing.ts'
import type { ProviderObjects } from './provider-objects.ts'
import type { UploadBudget } from './upload-budget.ts'
import type { UploadClock } from './upload-clock.ts'

/** What a call works with: made once by gateway.ts and handed down. */
export interface CallDependencies {
  /** The config in force at this moment. */
  readonly snapshot: () => Snapshot
  readonly callers: Pick<Callers, 'findKey' | 'findAccount'>
  /** Undefined: the config names no issuer of tokens. */
  readonly tokens: Tokens | undefined
  readonly providers: ReadonlyMap<Format, Provider>
  readonly wallet: Wallet
  readonly outbox: OutboxShape
  readonly sweeper: { touch(account: string, deadlineAtMs: number): void }
  readonly pools: UpstreamPools
  readonly credentials: UpstreamCredentials
  readonly passthrough: Passthrough
  readonly objects: ProviderObjects
  readonly batchFiles: BatchFiles
  readonly uploads: UploadBudget
  readonly uploadClock: UploadClock
  readonly sliceWaits: Pick<CommandDeadlines, 'start'>
  readonly longCalls: Pick<LongCalls, 'register' | 'ended' | 'hurry' | 'askNow' | 'goesOn'>
  readonly allowances: Pick<AllowanceKeeper, 'covers' | 'ensure'>
  readonly sizing: HoldSizing
  readonly exact: Pick<ExactCounter, 'count'>
  readonly denied: DeniedModels
  readonly metrics: Metrics
  readonly log: Log
  readonly now: () => number
  /** Calls that are sent and have no end yet. */
  readonly openCalls: Set<OpenCall>
  /** Those of them whose caller has gone and whose answer is still read. */
  readonly drains: Set<OpenCall>
  /** The gateway no longer takes new connections. */
  readonly stopping: () => boolean
}
