import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import { EVENTS } from '../core/event-names.ts'
import type { Atoms } from '../core/money.ts'
import { TOKEN_KINDS, type Usage } from '../core/usage.ts'
import { type FamilyValues, HistogramFamily, NumberFamily } from './families.ts'
import { METRICS, type MetricRow } from './metric-catalog.ts'
import type {
  AccountGauge,
  EndedCall,
  Outcome,
  PostedCall,
  RefusedCall,
  RequestLabels,
  UsedByCall,
  WaitingReceiver,
  WalletGauge,
} from './metric-events.ts'
import { units } from './units.ts'

/** Of what was stopped the kind alone: there are as many runs as callers care to name. */
function ruleOf({ code, rule }: RefusedCall): string {
  return code === 'stopped' ? (rule ?? '').replace(/:.*$/s, '') : (rule ?? '')
}

/**
 * Everything that Prometheus can ask of this process. Counting is cheap and never throws; label values are names of the
 * config, our own words, or models, which are bounded. Money is in units as a number: for watching, never for books.
 */
export class Metrics {
  /** Accounts and models with series of their own. */
  readonly maxSeries: number
  readonly #registry = new Registry()
  readonly #families: Families
  #outbox: { readonly depth: number; readonly oldestSeconds: number } | undefined

  constructor(options: { readonly maxSeries: number }) {
    this.maxSeries = options.maxSeries
    this.#families = createFamilies(this.maxSeries, this.#registry)
    // Named from the start, so that an increase over them sees the first one.
    for (const result of ['accepted', 'rejected']) this.#families.configReloads.set([result], 0)
    collectDefaultMetrics({ register: this.#registry })
    // Gauges with the ending of a counter, which promtool refuses; they are the sums of gauges that stay.
    for (const kind of ['handles', 'requests', 'resources']) {
      this.#registry.removeSingleMetric(`nodejs_active_${kind}_total`)
    }
  }

  /** A call that is free or unmetered: it has no charge to report. */
  request(call: RequestLabels & { readonly outcome: Outcome }): void {
    this.#families.requests.add([call.account, call.upstream, call.model, call.endpoint, call.outcome], 1)
  }

  /** Counts the request too. */
  refused(call: RefusedCall): void {
    const { account = '', upstream = '', model = '', endpoint = '' } = call
    this.#families.refused.add([account, call.code, ruleOf(call)], 1)
    this.request({ account, upstream, model, endpoint, outcome: call.code === 'internal' ? 'failed' : 'refused' })
  }

  /** Only under observe: the call goes on, and is counted at its end. */
  wouldRefuse(call: RefusedCall): void {
    this.#families.wouldRefuse.add([call.account ?? '', call.code, ruleOf(call)], 1)
  }

  /** A call that was only asked about: no request of `requests_total`. */
  dryRun(account: string, model: string, decision: 'pass' | 'trim' | 'overage' | 'refuse'): void {
    this.#families.dryRuns.add([account, model, decision], 1)
  }

  /** A metered call came to its end, and its charge is recorded. */
  ended(call: EndedCall): void {
    const { account, model, upstream } = call
    this.request(call)
    if (call.trimmed) this.#families.trimmed.add([account, model], 1)
    if (call.outcome === 'cut') this.#families.cut.add([account, model], 1)
    if (call.usageMissing) this.#families.usageMissing.add([upstream, model], 1)
    if (call.unread) this.#families.unreadAnswers.add([upstream, model], 1)
    this.used(call)
    if (call.upstreamSeconds !== undefined) this.#families.upstreamSeconds.observe([upstream], call.upstreamSeconds)
    if (call.firstByteSeconds !== undefined) this.#families.firstByte.observe([upstream], call.firstByteSeconds)
  }

  /** The tokens and the money of one model: a call of several is counted once, and each of its models here. */
  used(call: UsedByCall): void {
    const { account, model, usage, priced } = call
    if (usage !== undefined) this.#countTokens(account, model, usage)
    if (priced !== undefined) {
      this.#families.charged.add([account, call.unit, model], units(priced.chargeAtoms, call.scale))
      this.#families.cost.add(
        [account, call.costUnit ?? call.unit, model],
        units(priced.costAtoms, call.costScale ?? call.scale),
      )
      for (const kind of priced.unpricedKinds) this.#families.unpricedKinds.add([model, kind], 1)
    }
  }

  #countTokens(account: string, model: string, usage: Usage): void {
    for (const kind of TOKEN_KINDS) {
      const count = usage.tokens[kind]
      if (count !== undefined) this.#families.tokens.add([account, model, kind], count)
    }
    if (usage.reasoning !== undefined) this.#families.reasoningTokens.add([account, model], usage.reasoning)
  }

  /** Redis acknowledged a settlement, perhaps long after the call. */
  posted(call: PostedCall): void {
    const { account, unit, scale, result, heldAtoms, chargedAtoms } = call
    // Postpaid is no overage.
    if (result.overage !== undefined && result.overage.mode !== 'postpaid')
      this.#families.overage.add([account, unit, result.overage.mode], units(result.overage.atoms, scale))
    // What overflow costs beyond the price is known now: used() has counted the price.
    const surcharge = result.chargedAtoms - chargedAtoms
    if (result.overage?.mode === 'overflow' && surcharge > 0n)
      this.#families.charged.add([account, unit, call.model], units(surcharge, scale))
    this.#families.overrun.add([account, unit], units(result.overrunAtoms, scale))
    if (result.status === 'late_settled') this.#families.lateSettlements.add([account], 1)
    if (result.status === 'unmatched') this.#families.unreconciled.add([account], 1)
    if (heldAtoms !== undefined && chargedAtoms > 0n)
      this.#families.holdRatio.observe([], Number(heldAtoms) / Number(chargedAtoms))
  }

  /** The issuers of tokens that the config names. */
  issuers(issuers: Iterable<string>): void {
    for (const issuer of issuers)
      for (const result of ['fetched', 'failed']) this.#families.issuerFetches.touch([issuer, result])
  }

  /** The keys of an issuer were asked for. */
  issuerFetch(issuer: string, result: 'fetched' | 'failed'): void {
    this.#families.issuerFetches.add([issuer, result], 1)
  }

  /** An event was posted to a receiver, or given up. */
  webhookDelivered(event: string, result: 'delivered' | 'failed' | 'gone' | 'given_up'): void {
    this.#families.webhookDeliveries.add([event, result], 1)
  }

  /** Replaces what was known of the receivers; `receiver` is its host. */
  webhooksWaiting(waiting: Iterable<WaitingReceiver>): void {
    const { webhookDeliveries, webhookPending, webhookOldest } = this.#families
    for (const gauge of [webhookPending, webhookOldest]) gauge.clear()
    for (const event of EVENTS) webhookDeliveries.touch([event, 'given_up'])
    for (const { receiver, pending, oldestSeconds } of waiting) {
      webhookPending.set([receiver], pending)
      webhookOldest.set([receiver], oldestSeconds)
    }
  }

  /** Holds that a sweep ended by their deadline. */
  holdsExpired(account: string, count: number): void {
    this.#families.holdsExpired.add([account], count)
    this.#families.unreconciled.add([account], count)
  }

  /** Events that nobody took before there were too many. */
  eventsDropped(account: string, count: number): void {
    this.#families.eventsDropped.add([account], count)
  }

  unbilledExposure(account: string, unit: string, floorAtoms: Atoms, scale: number): void {
    this.#families.unbilledExposure.add([account, unit], units(floorAtoms, scale))
  }

  /** A limit that neither the call nor the config names. */
  assumedLimit(model: string, part: 'input' | 'output'): void {
    this.#families.assumedLimits.add([model, part], 1)
  }

  /** A call whose input came to more than was held for it. */
  inputUnderestimated(upstream: string, model: string): void {
    this.#families.inputUnderestimates.add([upstream, model], 1)
  }

  /** Answered by a model of another name than was asked for. */
  otherModel(upstream: string, model: string): void {
    this.#families.otherModels.add([upstream, model], 1)
  }

  unmeteredBytes(upstream: string, direction: 'sent' | 'received', bytes: number): void {
    this.#families.unmeteredBytes.add([upstream, direction], bytes)
  }

  /**
   * `admit`: from the request to its dispatch, without the wait for its body; of that `read` is the body as a call,
   * `decide` the plan, the price and the ceiling, `hold` the round trip to the wallet. `settle`: from the end of an
   * answer to its recorded settlement.
   */
  overhead(stage: 'admit' | 'read' | 'decide' | 'hold' | 'settle', seconds: number): void {
    this.#families.overhead.observe([stage], seconds)
  }

  redisCall(script: string, seconds: number): void {
    this.#families.redisSeconds.observe([script], seconds)
  }

  /** An upstream was asked how a call stands that goes on after its answer. */
  polled(upstream: string, result: 'open' | 'ended' | 'missing' | 'failed'): void {
    this.#families.polls.add([upstream, result], 1)
  }

  jobsOpen(count: number): void {
    this.#families.jobsOpen.set([], count)
  }

  ledgerExportLag(seconds: number): void {
    this.#families.exportLag.set([], seconds)
  }

  drift(account: string, differences: number): void {
    this.#families.drift.set([account], differences)
  }

  redisUp(up: boolean): void {
    this.#families.redisUp.set([], up ? 1 : 0)
  }

  redisEmbeddedInMemory(inMemory: boolean): void {
    this.#families.inMemory.set([], inMemory ? 1 : 0)
  }

  /** Read at each scrape from here on. */
  watchOutbox(outbox: { readonly depth: number; readonly oldestSeconds: number }): void {
    this.#outbox = outbox
  }

  configReload(result: 'accepted' | 'rejected'): void {
    this.#families.configReloads.add([result], 1)
  }

  configVersion(version: string, generation: number): void {
    this.#families.configVersion.clear()
    this.#families.configVersion.set([version, String(generation)], 1)
  }

  /** Replaces what was known of the wallets: those that are no longer named disappear. */
  wallets(wallets: Iterable<WalletGauge>, accounts: Iterable<AccountGauge>): void {
    const all = this.#families
    const gauges = [
      all.walletAvailable,
      all.walletHeld,
      all.walletDebt,
      all.walletSeconds,
      all.holdsOpen,
      all.unmatchedOpen,
    ]
    for (const gauge of [...gauges, all.budgetUsed]) gauge.clear()
    const ratios: (readonly [labels: string[], ratio: number])[] = []
    for (const { account, unit, available, held, debt, secondsToEmpty } of wallets) {
      all.walletAvailable.set([account, unit], available)
      all.walletHeld.set([account, unit], held)
      all.walletDebt.set([account, unit], debt)
      if (secondsToEmpty !== undefined) all.walletSeconds.set([account, unit], secondsToEmpty)
      for (const rare of [all.overrun, all.unbilledExposure]) rare.touch([account, unit])
    }
    for (const { account, holdsOpen, unmatched, budgets } of accounts) {
      for (const { budget, unit, ratio } of budgets) ratios.push([[account, budget, unit], ratio])
      all.holdsOpen.set([account], holdsOpen)
      all.unmatchedOpen.set([account], unmatched)
      for (const rare of [all.holdsExpired, all.lateSettlements, all.unreconciled, all.eventsDropped])
        rare.touch([account])
    }
    // What is folded into one series is as full as the fullest.
    for (const [labels, ratio] of ratios.sort(([, a], [, b]) => a - b)) all.budgetUsed.set(labels, ratio)
  }

  /** All values as plain data: what a worker sends to the process that answers the scrape. */
  async export(): Promise<readonly FamilyValues[]> {
    if (this.#outbox !== undefined) {
      this.#families.outboxEntries.set([], this.#outbox.depth)
      this.#families.outboxOldest.set([], this.#outbox.oldestSeconds)
    }
    return (await this.#registry.getMetricsAsJSON()) as unknown as readonly FamilyValues[]
  }
}

type Families = {
  readonly [K in keyof typeof METRICS]: (typeof METRICS)[K]['type'] extends 'histogram' ? HistogramFamily : NumberFamily
}

/** prom-client asks a metric for its name and `get` alone; its types name the classes. */
function createFamilies(maxSeries: number, registry: Registry): Families {
  const families = Object.entries<MetricRow<'counter' | 'gauge' | 'histogram'>>(METRICS).map(([key, row]) => {
    const { type, ...options } = row
    const family =
      type === 'histogram'
        ? new HistogramFamily({ ...options, maxSeries })
        : new NumberFamily(type, { ...options, maxSeries })
    registry.registerMetric(family as unknown as Metric)
    return [key, family]
  })
  return Object.fromEntries(families) as Families
}

export function createMetrics(options: { readonly maxSeries: number }): Metrics {
  return new Metrics(options)
}
