/**
 * The half of the gateway that calls go through: a server, its connections to Redis and the upstreams, its outbox. One
 * a process: with several workers each has its own, and shares nothing with the others but Redis and the port.
 */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfigStore } from './config/config-store.ts'
import type { Plan, Snapshot } from './config/snapshot.ts'
import { BatchFiles } from './http/batch-files.ts'
import type { CallDependencies } from './http/call-dependencies.ts'
import type { OpenCall } from './http/call-guard.ts'
import { type DeniedModel, DeniedModels } from './http/denied-models.ts'
import { sliceWaits } from './http/hold-keeper.ts'
import { HoldSizing } from './http/hold-sizing.ts'
import { ProviderObjects } from './http/provider-objects.ts'
import { createGatewayServer } from './http/server.ts'
import { UploadBudget, uploadBytesMax } from './http/upload-budget.ts'
import { UploadClock } from './http/upload-clock.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics/metrics.ts'
import { providers } from './providers/registry.ts'
import type { UpstreamCredentials } from './proxy/credentials/upstream-credentials.ts'
import { Passthrough } from './proxy/passthrough.ts'
import type { UpstreamPools } from './proxy/upstream.ts'
import { SocketGate } from './realtime/socket-gate.ts'
import type { RedisClient } from './redis/client.ts'
import { LEARNED_INPUT_KEY, LEARNED_OUTPUT_KEY } from './redis/keys.ts'
import { HistogramSharing } from './redis/share-histograms.ts'
import { ExactCounter } from './tokenizer/exact-counter.ts'
import { CutWatch } from './wallet/cuts.ts'
import type { Outbox } from './wallet/outbox.ts'
import type { Wallet } from './wallet/wallet-types.ts'

export interface DataPlane {
  readonly port: number
  /** Calls that are sent and have no end yet. */
  readonly openCalls: number
  /** Models that another process of the gateway denies. */
  takeDenied(models: readonly DeniedModel[]): void
  /** No new connections; running calls have `graceMs`, then end with an error event. Everything owed is recorded. */
  stop(graceMs: number): Promise<void>
}

export interface DataPlaneOptions {
  readonly store: ConfigStore
  readonly redis: RedisClient
  readonly wallet: Wallet
  readonly outbox: Outbox
  readonly sweeper: CallDependencies['sweeper']
  readonly pools: UpstreamPools
  readonly credentials: UpstreamCredentials
  readonly longCalls: CallDependencies['longCalls']
  readonly allowances: CallDependencies['allowances']
  readonly callers: CallDependencies['callers']
  readonly tokens: CallDependencies['tokens']
  readonly metrics: Metrics
  readonly log: Log
  /** The gateway's other processes; left out: there are none. */
  readonly peers?: { tellDenied(upstream: string, model: string): void }
}

export async function startDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { settings } = options.store.current()
  const openCalls = new Set<OpenCall>()
  const passthrough = new Passthrough(options.credentials)
  const sizing = new HoldSizing()
  const sharing = new HistogramSharing(
    options.redis,
    new Map([
      [LEARNED_INPUT_KEY, sizing.ratios.histograms],
      [LEARNED_OUTPUT_KEY, sizing.outputs.histograms],
    ]),
  )
  const denied = new DeniedModels()
  denied.onDeny = options.peers && ((upstream, model) => options.peers?.tellDenied(upstream, model))
  options.store.onReload(({ result }) => {
    if (result !== 'rejected') denied.clear()
  })
  const waits = sliceWaits()
  const exact = new ExactCounter(options.log)
  const warm = (): void => {
    if (asksForExact(options.store.current())) exact.warm()
  }
  warm()
  options.store.onReload(warm)
  let stopping = false
  const deps: CallDependencies = {
    snapshot: () => options.store.current(),
    providers,
    wallet: options.wallet,
    outbox: options.outbox,
    sweeper: options.sweeper,
    pools: options.pools,
    credentials: options.credentials,
    sliceWaits: waits,
    longCalls: options.longCalls,
    allowances: options.allowances,
    callers: options.callers,
    tokens: options.tokens,
    passthrough,
    objects: new ProviderObjects(options.redis),
    batchFiles: new BatchFiles(options.redis),
    sizing,
    exact,
    denied,
    uploads: new UploadBudget(uploadBytesMax(settings.gateway.workers)),
    uploadClock: new UploadClock(),
    metrics: options.metrics,
    log: options.log,
    now: Date.now,
    openCalls,
    drains: new Set(),
    stopping: () => stopping,
  }
  const server = createGatewayServer(deps, settings)
  new SocketGate(deps).attach(server)
  const ticker = setInterval(() => {
    const nowMs = Date.now()
    for (const call of openCalls) call.tick(nowMs)
    deps.uploadClock.tick()
  }, 1_000)
  sharing.start()
  const cuts = new CutWatch(options.redis, options.log, (cut) => {
    for (const call of openCalls) call.cut(cut)
  })
  cuts.start()
  await listen(server, settings.gateway.host, settings.gateway.port)
  return {
    port: (server.address() as AddressInfo).port,
    get openCalls() {
      return openCalls.size
    },
    takeDenied(models) {
      for (const [upstream, model] of models) denied.take(upstream, model)
    },
    async stop(graceMs) {
      stopping = true
      const closed = closeServer(server, graceMs)
      // Requests that are still being admitted become calls, and calls whose callers have gone have no connection.
      await Promise.race([
        Promise.all([closed, untilEmpty(openCalls, graceMs)]),
        sleep(graceMs, undefined, { ref: false }),
      ])
      const stopCalls = setInterval(stopAll, 50, openCalls)
      stopAll(openCalls)
      await closed
      clearInterval(stopCalls)
      stopAll(openCalls)
      clearInterval(ticker)
      waits.close()
      cuts.stop()
      await sharing.stop()
      exact.close()
      passthrough.close()
    },
  }
}

function asksForExact({ keys, plans }: Snapshot): boolean {
  const asks = (plan: Plan): boolean => plan.hold.tokenizer === 'exact'
  return [...plans.values()].some(asks) || keys.values().some(({ plan }) => asks(plan))
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** `close` alone is no graceful stop: Node stops enforcing its request timeouts, and idle connections linger. */
function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const idle = setInterval(() => server.closeIdleConnections(), 100)
    const last = setTimeout(() => server.closeAllConnections(), graceMs + 1_000)
    server.close(() => {
      clearInterval(idle)
      clearTimeout(last)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function stopAll(calls: ReadonlySet<OpenCall>): void {
  for (const call of calls) call.stop()
}

async function untilEmpty(calls: ReadonlySet<unknown>, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs
  while (calls.size > 0 && performance.now() < deadline) await sleep(20)
}
