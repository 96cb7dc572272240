/** Every metric of ours, one row each: a new one starts here. Names have the prefix `tollgate_` when they are printed. */
import type { Aggregator } from 'prom-client'

export interface MetricRow<Type extends 'counter' | 'gauge' | 'histogram'> {
  readonly type: Type
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  /** How the values of several workers become one. */
  readonly aggregator: Aggregator
  /** Upper bounds of a histogram's buckets. */
  readonly bounds: readonly number[]
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
const SHORT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const RATIOS = [1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000]

export const METRICS = {
  requests: counter('requests_total', 'account upstream model endpoint outcome', 'Calls by how they ended.'),
  refused: counter('refused_total', 'account code rule', 'Calls refused, by code and the rule that said so.'),
  dryRuns: counter(
    'dry_runs_total',
    'account model decision',
    'Calls that were only asked about, by what they would do.',
  ),
  wouldRefuse: counter('would_refuse_total', 'account code rule', 'Calls under observe that enforcement would refuse.'),
  tokens: counter('tokens_total', 'account model kind', 'Tokens charged, by kind.'),
  reasoningTokens: counter('reasoning_tokens_total', 'account model', 'Reasoning tokens, a part of the kind output.'),
  charged: counter('charged_total', 'account unit model', 'What customers were charged, in units.'),
  cost: counter('cost_total', 'account unit model', 'What the providers charge for it, in units.'),
  overage: counter('overage_total', 'account unit mode', 'Charges that no grant covered, in units.'),
  overrun: counter('overrun_total', 'account unit', 'Charges beyond their hold, in debt beyond any limit, in units.'),
  trimmed: counter(
    'trimmed_total',
    'account model',
    'Calls whose output limit was lowered to fit, however they ended.',
  ),
  cut: counter('cut_total', 'account model', 'Streams cut because the money ended.'),
  usageMissing: counter(
    'usage_missing_total',
    'upstream model',
    'Whole answers without usage, in which nothing could be counted either.',
  ),
  unreadAnswers: counter(
    'unread_answers_total',
    'upstream model',
    'Answers in which something could not be read: too large, broken, or in an unknown encoding.',
  ),
  unpricedKinds: counter('unpriced_kinds_total', 'model kind', 'Charged calls with a kind without a rate of its own.'),
  assumedLimits: counter('assumed_limits_total', 'model part', 'Calls held by an assumed size of input or output.'),
  inputUnderestimates: counter(
    'input_underestimates_total',
    'upstream model',
    'Calls whose visible input came to more than was held for it.',
  ),
  otherModels: counter('other_model_total', 'upstream model', 'Answers by another model than was asked for.'),
  unmeteredBytes: counter('unmetered_bytes_total', 'upstream direction', 'Bytes on paths that are left unmetered.'),
  issuerFetches: counter(
    'issuer_fetches_total',
    'issuer result',
    'Fetches of the keys of an issuer of tokens, by result.',
  ),
  polls: counter('polls_total', 'upstream result', 'Questions how a call stands that goes on after its answer.'),
  jobsOpen: gauge('jobs_open', '', 'max', 'Calls that go on after their answer and have no end yet.'),
  webhookDeliveries: counter('webhook_deliveries_total', 'event result', 'Posts of events to receivers, by result.'),
  webhookPending: gauge('webhook_pending', 'receiver', 'max', 'Accounts whose events a receiver does not have yet.'),
  webhookOldest: gauge(
    'webhook_oldest_seconds',
    'receiver',
    'max',
    'Age of the oldest event that waits for a receiver.',
  ),
  holdsExpired: counter('holds_expired_total', 'account', 'Holds that ended by their deadline.'),
  eventsDropped: counter(
    'events_dropped_total',
    'account',
    'Events beyond the 10,000 that wait to be handed over: they are in the ledger alone.',
  ),
  lateSettlements: counter('late_settlements_total', 'account', 'Settlements after the timeout of their hold.'),
  unreconciled: counter('unreconciled_total', 'account', 'Timeouts, and settlements that came too late to charge.'),
  unbilledExposure: counter(
    'unbilled_exposure_total',
    'account unit',
    'Input sent, never answered nor charged, in units.',
  ),
  holdRatio: histogram('hold_to_charge_ratio', '', RATIOS, 'Held over charged: how tight holds are.'),
  overhead: histogram('overhead_seconds', 'stage', SHORT_SECONDS, 'Time that the gateway adds, by stage.'),
  upstreamSeconds: histogram('upstream_seconds', 'upstream', SECONDS, 'From sending a call to the end of its answer.'),
  firstByte: histogram(
    'time_to_first_byte_seconds',
    'upstream',
    SECONDS,
    'From a request to the first byte of its answer.',
  ),
  redisSeconds: histogram('redis_seconds', 'script', SHORT_SECONDS, 'Round trips of the wallet scripts.'),
  redisUp: gauge('redis_up', '', 'min', '1 while Redis answers.'),
  inMemory: gauge('redis_embedded_in_memory', '', 'max', '1 where balances live in memory and end with the process.'),
  outboxEntries: gauge('outbox_entries', '', 'sum', 'Records on local disk that Redis has not acknowledged.'),
  outboxOldest: gauge('outbox_oldest_seconds', '', 'max', 'Age of the oldest of them.'),
  // Every process of a gateway reads the same edits.
  configReloads: { ...counter('config_reloads_total', 'result', 'Config edits, by result.'), aggregator: 'max' },
  configVersion: gauge('config_version_info', 'version generation', 'max', 'The config in force, as labels; always 1.'),
  walletAvailable: gauge('wallet_available', 'account unit', 'max', 'Free part of the usable grants, in units.'),
  walletHeld: gauge('wallet_held', 'account unit', 'max', 'Held by open calls, in units.'),
  walletDebt: gauge('wallet_debt', 'account unit', 'max', 'Owed beyond the grants, in units.'),
  walletSeconds: gauge(
    'wallet_seconds_to_empty',
    'account unit',
    'min',
    'When it is empty at the rate of the last 15 minutes; absent while nothing is spent.',
  ),
  budgetUsed: gauge(
    'budget_used_ratio',
    'account budget unit',
    'max',
    'Spent and held over the limit of a budget; of one with a counter for each value, the fullest of them.',
  ),
  unmatchedOpen: gauge(
    'unmatched_open',
    'account',
    'max',
    'Settlements that came too late to be charged and wait for an operator.',
  ),
  exportLag: gauge(
    'ledger_export_lag_seconds',
    '',
    'max',
    'Age of the oldest ledger entry that may not be exported yet; absent where nothing is exported.',
  ),
  drift: gauge(
    'drift',
    'account',
    'max',
    'Fields of an account that are not what its ledger says; read on the gateway that has the books.',
  ),
  holdsOpen: gauge('holds_open', 'account', 'max', 'Holds of open calls.'),
} as const satisfies Record<string, MetricRow<'counter' | 'gauge' | 'histogram'>>

function counter(name: string, labels: string, help: string): MetricRow<'counter'> {
  return { type: 'counter', name, help, labels: split(labels), aggregator: 'sum', bounds: [] }
}

function gauge(name: string, labels: string, aggregator: Aggregator, help: string): MetricRow<'gauge'> {
  return { type: 'gauge', name, help, labels: split(labels), aggregator, bounds: [] }
}

function histogram(name: string, labels: string, bounds: readonly number[], help: string): MetricRow<'histogram'> {
  return { type: 'histogram', name, help, labels: split(labels), aggregator: 'sum', bounds }
}

function split(labels: string): readonly string[] {
  return labels === '' ? [] : labels.split(' ')
}
