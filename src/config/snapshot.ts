/**
 * The config as one call sees it: read whole, validated whole, frozen, and swapped by one assignment. A call keeps the
 * snapshot it started with to its end. Built by parse-config.ts; nothing below `config` knows YAML.
 */

import type { PlanAlerts } from '../core/alerts.ts'
import type { Allowance } from '../core/allowance.ts'
import type { Budget } from '../core/budgets.ts'
import type { Rate } from '../core/convert.ts'
import type { Atoms } from '../core/money.ts'
import type { PriceBook } from '../core/price-book.ts'
import type { PlanFields, PlanOverrides } from './entitlements-schema.ts'

/** Names of metered and free endpoints, as `endpoints:` in a plan and labels in metrics have them. */
export type Endpoint =
  | 'chat'
  | 'responses'
  | 'completions'
  | 'embeddings'
  | 'messages'
  | 'images'
  | 'speech'
  | 'transcriptions'
  | 'realtime'
  | 'batches'
  | 'generate_content'
  | 'predict'
  | 'converse'
  | 'invoke'
  | 'rerank'
  | 'ocr'
  | 'generate'
  | 'count_tokens'
  | 'models'
  | 'moderations'
  | 'files'
  | 'models'
  | 'cached_contents'
  | 'operations'
  | 'unmetered'

export type Format = 'openai' | 'anthropic' | 'gemini' | 'vertex' | 'bedrock' | 'cohere' | 'ollama'

/** Our own key in a header of the upstream's API. */
export type KeyHeader = 'bearer' | 'api-key' | 'x-api-key' | 'x-goog-api-key'

/** How our own credential goes to the upstream. */
export type UpstreamAuth =
  | KeyHeader
  | 'none'
  /** AWS Signature Version 4 of each request. */
  | { readonly sigv4: { readonly region: string; readonly service: string } }
  /** A bearer token by Google's application default credentials. */
  | { readonly gcp: 'adc' }
  /** A bearer token that a program prints, asked for anew after `refreshMs`. */
  | { readonly command: readonly string[]; readonly refreshMs: number }

export interface Upstream {
  readonly name: string
  readonly format: Format
  /** Origin and path prefix without a trailing slash; parsed once, never taken from a request. */
  readonly baseUrl: URL
  readonly apiKey: string
  readonly auth: UpstreamAuth
  /** Globs; empty: reached by `/u/NAME/…` alone. */
  readonly models: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Objects that no account made through the gateway may be used by all. */
  readonly shared: boolean
  readonly onDisconnect: { readonly mode: 'drain' | 'cancel'; readonly maxMs: number }
  readonly onNoAnswer: 'void' | 'floor'
  /** What an answer without usage costs; deny_model: an estimate, and later calls of the model are refused. */
  readonly missingUsage: 'estimate' | 'keep_hold' | 'deny_model'
  /** Which price counts where the provider states its own. */
  readonly chargeBy: 'ours' | 'provider'
  /** Parameter a limit is written as where the caller names none; default by format and host. */
  readonly outputLimitParam: 'max_tokens' | 'max_completion_tokens' | 'max_output_tokens' | undefined
  /** Whether streams are asked for their usage in the caller's place; default by host. */
  readonly askForUsage?: boolean | undefined
}

export type OnExhausted =
  | { readonly mode: 'block' }
  /** floor <= 0, decimal string in the plan's unit, kept as atoms. */
  | { readonly mode: 'negative'; readonly floorAtoms: Atoms }
  | {
      readonly mode: 'overflow'
      readonly capAtoms: Atoms
      readonly period: 'day' | 'week' | 'month' | 'quarter' | 'year'
      /** Decimal string, default "1". At most six decimals. */
      readonly multiplier: string
    }
  | { readonly mode: 'flag' }
  | { readonly mode: 'postpaid' }

/** What one key may do: its plan with the account's and the key's overrides, resolved when the config is read. */
export interface Plan {
  readonly name: string
  readonly unit: string
  /** Decimals of `unit`. */
  readonly scale: number
  readonly timezone: string
  readonly onExhausted: OnExhausted
  readonly enforcement: 'enforce' | 'observe'
  readonly models: readonly string[]
  /** undefined: all. */
  readonly endpoints: readonly string[] | undefined
  readonly maxCostPerCallAtoms: Atoms | undefined
  readonly maxCostPerBatchAtoms: Atoms | undefined
  readonly maxOutputTokens: number | undefined
  /** Held for a line of a batch that names no limit. */
  readonly batchOutputTokens: number
  readonly trim: {
    readonly enabled: boolean
    readonly minOutputTokens: number
    readonly minReasoningTokens: number
    readonly structured: boolean
    readonly tools: boolean
  }
  /** undefined: no slices, the whole ceiling is held. */
  readonly streaming: { readonly sliceTokens: number; readonly onCut: 'finish' | 'error' } | undefined
  readonly hold: {
    /** recent: what the last call of the run had cached is held at the cached rate. */
    readonly input: 'worst' | 'recent'
    /** p99: what 99 of 100 such calls stay within, in place of the whole limit. */
    readonly output: 'ceiling' | 'p99'
    /** high: text by the safe count alone; estimate: by what was learnt of it; exact: by the model's own tokenizer. */
    readonly tokenizer: 'high' | 'estimate' | 'exact'
  }
  readonly require: readonly string[]
  readonly topUpUrl: string | undefined
  /** Of a key's plan: the account's. undefined: none. */
  readonly allowance?: Allowance | undefined
  /** Of a key's plan: the account's. undefined: nothing but what needs no threshold. */
  readonly alerts?: PlanAlerts | undefined
}

export interface Account {
  readonly id: string
  /** The account's own plan (with its overrides, without any key's). */
  readonly plan: Plan
  readonly labels: Readonly<Record<string, string>>
  /** The fields that its plan has of its own, for those of a key that come on top. undefined: none. */
  readonly overrides?: PlanOverrides | undefined
}

/** Who a key belongs to. */
export interface VirtualKey {
  readonly id: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
  readonly account: Account
  /** Account labels with the key's own over them. */
  readonly labels: Readonly<Record<string, string>>
  /** Account's plan with the key's overrides. */
  readonly plan: Plan
  /** What the key has itself; undefined: nothing. */
  readonly own?: KeyOwn | undefined
  /** Of a backend's key: patterns of the accounts that its calls may name. undefined: its calls are its account's. */
  readonly actsFor?: readonly string[] | undefined
}

export interface KeyOwn {
  readonly labels: Readonly<Record<string, string>>
  readonly overrides: PlanOverrides
}

/** Who is told of events by HTTP. */
export interface Receiver {
  /** Of its URL: what was delivered to it is known by this, whatever else of it changes. */
  readonly id: string
  /** Of all of it: another one after any change. */
  readonly fingerprint: string
  readonly url: string
  /** `whsec_…`, one at least; each signs every post. Never shown. */
  readonly secrets: readonly string[]
  /** Globs of event types. */
  readonly events: readonly string[]
  /** Globs of account ids. */
  readonly accounts: readonly string[]
}

export type AdminRole = 'viewer' | 'finance' | 'operator'
export interface AdminToken {
  readonly name: string
  readonly sha256: string
  readonly role: AdminRole
}

/** Times in milliseconds, sizes in bytes. Each is a field of `limits` with the default of GUARANTEES section 6. */
export interface Limits {
  readonly headersMs: number
  readonly requestMs: number
  readonly fileMs: number
  readonly keepAliveMs: number
  readonly requestsPerSocket: number
  readonly headerBytes: number
  readonly headerCount: number
  readonly pathBytes: number
  readonly connections: number
  readonly connectionsPerAddress: number | undefined
  readonly bodyBytes: number
  /** Of a body that passes as it comes. */
  readonly fileBytes: number
  /** Of one line of a file that a batch is made of. */
  readonly batchLineBytes: number
  readonly jsonDepth: number
  readonly upstreamConnectMs: number
  readonly upstreamFirstByteStreamMs: number
  readonly upstreamFirstByteJsonMs: number
  readonly upstreamIdleMs: number
  readonly upstreamTotalMs: number
  readonly redisCommandMs: number
  readonly redisConnectMs: number
  readonly redisBreakerFailures: number
  readonly redisBreakerWindowMs: number
  readonly redisProbeMs: number
  readonly holdDeadlineMs: number
  readonly checkpointEveryMs: number
  /** Of calls that go on after their answer. */
  readonly jobDeadlineMs: number
  readonly jobLateWindowMs: number
  readonly pollFirstMs: number
  readonly pollMostMs: number
  readonly pollsPerUpstream: number
  readonly webhookTimeoutMs: number
  readonly webhookRetryFirstMs: number
  readonly webhookRetryMostMs: number
  readonly webhookRetryForMs: number
  readonly webhookLeaseMs: number
  readonly webhookConnections: number
  readonly drains: number
  readonly drainBytes: number
  readonly graceMs: number
}

/** Who makes tokens (JWT) that callers may send in place of a key. */
export interface JwtIssuer {
  readonly issuer: string
  readonly audience: string
  readonly jwksUrl: string
  readonly algorithms: readonly string[]
  readonly accountClaim: string | undefined
  /** Of tokens without that claim. */
  readonly account: string | undefined
  readonly keyClaim: string
  /** Label → claim. */
  readonly labels: Readonly<Record<string, string>>
}

/** config/tollgate.yaml: read at start; a change of it needs a restart. */
export interface Settings {
  /** Absolute path of the file. */
  readonly file: string
  readonly gateway: { readonly host: string; readonly port: number; readonly workers: number }
  readonly admin: {
    readonly host: string
    readonly port: number
    readonly tokens: readonly AdminToken[]
    /** Plain HTTP on an address other than loopback. */
    readonly insecure: boolean
  }
  /** Empty url: embedded. */
  readonly redis: { readonly url: string; readonly expectExisting: boolean }
  /** Absolute. */
  readonly dataDir: string
  /** Absolute paths of the two hot files. */
  readonly pricesFile: string
  readonly entitlementsFile: string
  /** Decimals by unit, for units that `units` names. */
  readonly unitScales: ReadonlyMap<string, number>
  readonly upstreams: readonly Upstream[]
  readonly metering: {
    readonly unpricedModel: 'deny' | 'allow_unmetered'
    readonly unpricedKind: 'parent' | 'zero'
    /** `METHOD /path` globs. */
    readonly unmeteredPaths: readonly { readonly method: string; readonly path: string }[]
    readonly bufferBytes: number
  }
  readonly answers: { readonly streamCost: boolean }
  /** Lower-case names of further headers read as the run. */
  readonly runHeaders: readonly string[]
  readonly jwt: readonly JwtIssuer[]
  readonly limits: Limits
  readonly metrics: { readonly maxSeries: number }
  readonly ledger: {
    /** Directories of exported books: as the file names them, and absolute. */
    readonly books: readonly { readonly name: string; readonly path: string }[]
    readonly keepMs: number
    readonly freezeOnDrift: boolean
  }
}

export interface Snapshot {
  /** First 12 hex digits of a SHA-256 over the three files as read. */
  readonly version: string
  /** Rises by one with each set of files that was put in force; 1 at start. */
  readonly generation: number
  readonly loadedAtMs: number
  readonly settings: Settings
  readonly plans: ReadonlyMap<string, Plan>
  /** By plan, as the file has them: what overrides that the file does not have are laid upon. */
  readonly planFields: ReadonlyMap<string, PlanFields>
  /** Of an account that is known by a token alone. undefined: such calls are refused. */
  readonly defaultPlan: Plan | undefined
  readonly accounts: ReadonlyMap<string, Account>
  /** By SHA-256 of the key, in lower-case hex. */
  readonly keys: ReadonlyMap<string, VirtualKey>
  /** In the order of the file. */
  readonly budgets: readonly Budget[]
  readonly rates: readonly Rate[]
  readonly webhooks: readonly Receiver[]
  readonly priceBook: PriceBook
  /** What `validate` warns about; shown, never fatal. */
  readonly warnings: readonly string[]
}
