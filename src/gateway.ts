/** Makes every object once and hands it down. One process, or a primary with workers that share its port. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { AccountStore } from './accounts/account-store.ts'
import { allowancesInRedis, firstInRedis, idsInRedis } from './accounts/background.ts'
import type { Callers } from './accounts/callers.ts'
import { AccountDirectory } from './accounts/directory.ts'
import { watchCallers } from './accounts/watch-callers.ts'
import { RequestClaims } from './admin/request-claims.ts'
import { createAdminServer } from './admin/server.ts'
import { archiveOf, startBooks } from './books/books.ts'
import { BooksHeads } from './books/books-heads.ts'
import { type ConfigStore, openConfigStore } from './config/config-store.ts'
import { formatProblem } from './config/problem.ts'
import type { Settings, Snapshot } from './config/snapshot.ts'
import { type DataPlane, startDataPlane } from './data-plane.ts'
import { ProviderObjects } from './http/provider-objects.ts'
import { JobList } from './jobs/job-list.ts'
import { listJob } from './jobs/list-job.ts'
import { LongCalls } from './jobs/long-calls.ts'
import type { Log } from './log.ts'
import { metricsText } from './metrics/merge-metrics.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { createWalletGauges } from './metrics/wallet-gauges.ts'
import { jobReader } from './providers/registry.ts'
import { UpstreamCredentials } from './proxy/credentials/upstream-credentials.ts'
import { UpstreamPools } from './proxy/upstream.ts'
import { readiness } from './readiness.ts'
import type { RedisClient } from './redis/client.ts'
import { startEmbeddedRedis } from './redis/embedded.ts'
import { connectGuarded, type GuardedRedis } from './redis/guarded-client.ts'
import type { Tokens } from './tokens/token.ts'
import { AllowanceKeeper } from './wallet/allowance-keeper.ts'
import { tellCut } from './wallet/cuts.ts'
import { lockDataDir } from './wallet/data-lock.ts'
import { Outbox } from './wallet/outbox.ts'
import { recoverOutbox } from './wallet/recover-outbox.ts'
import { createWallet } from './wallet/redis-wallet.ts'
import type { WalletOptions } from './wallet/script-caller.ts'
import { createSweeper } from './wallet/sweeper.ts'
import { deliverEvents } from './webhooks/deliveries.ts'
import { DeliveryList } from './webhooks/delivery-list.ts'
import { EventMarks } from './webhooks/event-marks.ts'
import { startWorkers, type Workers } from './workers.ts'

export interface GatewayOptions {
  readonly configFile: string
  readonly env: NodeJS.ProcessEnv
  readonly log: Log
}

export interface Gateway {
  readonly url: string
  readonly adminUrl: string
  /** Made at this start because the config names none; undefined where it does. */
  readonly adminToken: string | undefined
  readonly redis: { readonly kind: string; readonly inMemory: boolean }
  readonly store: ConfigStore
  reload(): ReturnType<ConfigStore['reload']>
  /** Graceful: running calls have their grace, everything owed is recorded. */
  stop(): Promise<void>
}

/** Throws with a one-line message for what keeps it from starting (config, port, data_dir, a Redis that must not be used). */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const undo: (() => Promise<unknown> | unknown)[] = []
  try {
    return await start(options, undo)
  } catch (error) {
    for (const step of undo.reverse()) await step()
    throw error
  }
}

async function start(
  { configFile, env, log }: GatewayOptions,
  undo: (() => Promise<unknown> | unknown)[],
): Promise<Gateway> {
  const store = await openConfigStore(configFile, env)
  undo.push(() => store.close())
  const { settings } = store.current()
  const unlock = await lockDataDir(settings.dataDir)
  undo.push(unlock)
  const embedded = settings.redis.url === '' ? await startEmbeddedRedis({ dataDir: settings.dataDir, log }) : undefined
  if (embedded) undo.push(() => embedded.stop())
  const redisUrl = embedded?.url ?? settings.redis.url
  const inMemory = embedded?.inMemory ?? false
  const metrics = createMetrics({ maxSeries: settings.metrics.maxSeries })
  metrics.redisEmbeddedInMemory(inMemory)
  const core = await openCore({ store, redisUrl, embeddedJs: inMemory, worker: 'main', metrics, log })
  undo.push(() => core.close(1_000))
  const recovery = await recoverOutbox({
    dataDir: settings.dataDir,
    worker: undefined,
    outbox: core.outbox,
    wallet: core.wallet,
    sweeper: core.sweeper,
    log,
  })
  if (recovery.voided + recovery.resent + recovery.checkpointed + recovery.left > 0) {
    log.info(
      { voided: recovery.voided, resent: recovery.resent, checkpointed: recovery.checkpointed, left: recovery.left },
      'resolved what an earlier process left open',
    )
  }
  core.sweeper.start()
  core.longCalls.start()
  core.allowances.start()
  const deliveries = deliverEvents({ ...core, snapshot: () => store.current(), metrics, log, now: Date.now })
  undo.push(() => deliveries.stop())
  undo.push(() => core.allowances.stop())
  undo.push(() => core.longCalls.stop())
  undo.push(() => core.sweeper.stop())
  const gauges = createWalletGauges({
    wallet: core.wallet,
    metrics,
    accounts: () => store.current().accounts.keys(),
    others: (most) => firstInRedis(core.directory, most),
    budgets: () => store.current().budgets,
    log,
  })
  undo.push(() => gauges.stop())
  const books = startBooks({
    places: settings.ledger.books,
    keepMs: settings.ledger.keepMs,
    freezeOnDrift: settings.ledger.freezeOnDrift,
    redis: core.redis,
    wallet: core.wallet,
    inMemory,
    accounts: () => store.current().accounts.keys(),
    metrics,
    log,
  })
  undo.push(() => books?.stop())

  let plane: DataPlane | undefined
  let workers: Workers | undefined
  if (settings.gateway.workers > 1) {
    workers = await startWorkers({
      count: settings.gateway.workers,
      configFile,
      redisUrl,
      embeddedJs: inMemory,
      env,
      log,
    })
    undo.push(() => workers?.stop(settings.limits.graceMs))
  } else {
    plane = await startDataPlane({
      store,
      redis: core.redis,
      wallet: core.wallet,
      outbox: core.outbox,
      sweeper: core.sweeper,
      pools: core.pools,
      credentials: core.credentials,
      longCalls: core.longCalls,
      allowances: core.allowances,
      callers: core.callers,
      tokens: core.tokens,
      metrics,
      log,
    })
    undo.push(() => plane?.stop(0))
  }
  const reload = async (): ReturnType<ConfigStore['reload']> => {
    const result = await store.reload()
    await workers?.reload()
    return result
  }
  watchConfig(store, metrics, log)
  store.onReload(({ result }) => {
    if (result !== 'rejected') workers?.forgetDenied()
    if (result !== 'applied') return
    void core.allowances.tick()
    void core.allowances.tickOthers()
    void deliveries.tick()
  })
  const { server, adminToken } = createAdminServer({
    store,
    wallet: core.wallet,
    kept: core.accounts,
    accounts: core.directory,
    books: new BooksHeads(core.redis, () => store.current().accounts.keys()),
    claims: new RequestClaims(core.redis),
    accountChanged: (account) => core.allowances.ensure(account),
    log,
    reload,
    touch: (account, atMs) => core.sweeper.touch(account, atMs),
    cut: (cut) => tellCut(core.redis, cut),
    webhooks: deliveries,
    metrics: async () => metricsText([await metrics.export(), ...((await workers?.metrics()) ?? [])]),
    ready: () =>
      readiness({
        store,
        redis: core.guard,
        embedded,
        outbox: core.outbox,
        ...(workers && { workers: workers.outboxes }),
      }),
  })
  await listen(server, settings.admin.host, settings.admin.port)
  undo.push(() => closeAdmin(server))
  const port = workers?.port ?? (plane as DataPlane).port
  return {
    url: `http://${urlHost(settings.gateway.host)}:${port}`,
    adminUrl: `http://${urlHost(settings.admin.host)}:${(server.address() as AddressInfo).port}`,
    adminToken,
    redis: { kind: embedded?.kind ?? 'configured', inMemory },
    store,
    reload,
    async stop() {
      await Promise.all([plane?.stop(settings.limits.graceMs), workers?.stop(settings.limits.graceMs)])
      await gauges.stop()
      await books?.stop()
      await core.longCalls.stop()
      await core.allowances.stop()
      await core.sweeper.stop()
      await deliveries.stop()
      await closeAdmin(server)
      await core.close(5_000)
      await embedded?.stop()
      store.close()
      unlock()
    },
  }
}

/** Loaded only where the config names an issuer. */
async function openTokens(issuers: Settings['jwt'], metrics: Metrics, log: Log): Promise<Tokens | undefined> {
  if (issuers.length === 0) return undefined
  const { TokenCallers } = await import('./tokens/token-callers.ts')
  return new TokenCallers(issuers, { metrics, log })
}

/** What each process of the gateway has: its connection, its wallet, its outbox. */
export interface Core {
  readonly redis: RedisClient
  readonly guard: GuardedRedis
  readonly wallet: ReturnType<typeof createWallet>
  readonly outbox: Outbox
  readonly sweeper: ReturnType<typeof createSweeper>
  readonly pools: UpstreamPools
  readonly credentials: UpstreamCredentials
  readonly longCalls: LongCalls
  readonly allowances: AllowanceKeeper
  /** Accounts and keys that are kept in Redis. */
  readonly accounts: AccountStore
  /** Those, and the ones of the files. */
  readonly directory: AccountDirectory
  readonly callers: Callers
  readonly eventMarks: EventMarks
  readonly tokens: Tokens | undefined
  close(withinMs: number): Promise<void>
}

export interface CoreOptions {
  readonly store: ConfigStore
  readonly redisUrl: string
  readonly embeddedJs: boolean
  /** Part of the outbox's file names: one writer a process. */
  readonly worker: string
  readonly metrics: Metrics
  readonly log: Log
}

/** js-redis-server compiles a script when it is first called: tenths of a second, and seconds where other work goes on. */
const SLOW_COMMAND_MS = 10_000

export async function openCore(options: CoreOptions): Promise<Core> {
  const { store, metrics, log } = options
  const { settings } = store.current()
  const { limits } = settings
  const commandMs = options.embeddedJs ? Math.max(limits.redisCommandMs, SLOW_COMMAND_MS) : limits.redisCommandMs
  let outbox: Outbox | undefined
  let allowances: AllowanceKeeper | undefined
  let eventMarks: EventMarks | undefined
  // Nothing is asked of a Redis that has not been looked at: an emptied or evicting one must not hold money.
  const guard = await connectGuarded(
    {
      url: options.redisUrl,
      commandMs,
      connectMs: limits.redisConnectMs,
      breakerFailures: limits.redisBreakerFailures,
      breakerWindowMs: limits.redisBreakerWindowMs,
      probeMs: limits.redisProbeMs,
      onState: (up, reason) => {
        metrics.redisUp(up)
        if (up) log.info({}, 'Redis is up')
        else log.warn({ reason }, 'Redis is away')
        if (up) outbox?.nudge()
      },
    },
    {
      dataDir: settings.dataDir,
      expectExisting: settings.redis.expectExisting,
      scales: unitScales(store.current()),
      embeddedJs: options.embeddedJs,
      log,
      onOtherServer: () => {
        const entries = outbox?.resendKept() ?? 0
        allowances?.forget()
        log.warn({ entries }, 'another Redis server answers; what was acknowledged lately is sent again')
      },
    },
  )
  const scripts: WalletOptions = {
    stripShebang: options.embeddedJs,
    archive: archiveOf(settings.ledger.books),
    onDuration: (script, seconds) => metrics.redisCall(script, seconds),
  }
  const wallet = createWallet(guard, { ...scripts, onEvents: (account) => eventMarks?.add(account) })
  eventMarks = new EventMarks({
    list: new DeliveryList(guard),
    wallet,
    snapshot: () => store.current(),
    log,
    now: Date.now,
  })
  const accounts = new AccountStore(guard, scripts)
  const directory = new AccountDirectory({ snapshot: () => store.current(), store: accounts })
  const known = watchCallers(accounts, {
    url: options.redisUrl,
    connectMs: limits.redisConnectMs,
    commandMs,
  })
  const list = new JobList(guard)
  outbox = new Outbox({
    dataDir: settings.dataDir,
    worker: options.worker,
    wallet,
    listJob: (call) => listJob(list, call, outbox as Outbox),
    log,
  })
  metrics.watchOutbox(outbox)
  const sweeper = createSweeper({
    wallet,
    redis: guard,
    accounts: () => store.current().accounts.keys(),
    others: () => idsInRedis(directory),
    log,
  })
  allowances = new AllowanceKeeper({
    wallet,
    redis: guard,
    accounts: () => store.current().accounts,
    others: allowancesInRedis(directory, () => store.current().defaultPlan?.allowance),
    log,
  })
  const pools = new UpstreamPools(settings.upstreams, limits)
  const credentials = new UpstreamCredentials(settings.upstreams, { log, now: Date.now })
  const objects = new ProviderObjects(guard)
  const longCalls = new LongCalls({
    objects,
    list,
    snapshot: () => store.current(),
    pools,
    credentials,
    readers: jobReader,
    outbox,
    wallet,
    sweeper,
    metrics,
    log,
    now: Date.now,
  })
  return {
    redis: guard,
    guard,
    wallet,
    outbox,
    sweeper,
    pools,
    credentials,
    longCalls,
    allowances,
    accounts,
    directory,
    callers: known.callers,
    eventMarks,
    tokens: await openTokens(settings.jwt, metrics, log),
    async close(withinMs) {
      known.stop()
      await pools.close()
      credentials.close()
      await outbox.close(withinMs)
      await eventMarks.stop()
      guard.close()
    },
  }
}

/** Decimals of every unit that the config names or a plan uses. */
function unitScales(snapshot: Snapshot): ReadonlyMap<string, number> {
  const scales = new Map(snapshot.settings.unitScales)
  for (const plan of snapshot.plans.values()) scales.set(plan.unit, plan.scale)
  return scales
}

/** Keeps the store watching, and what it does in the log and the metrics. */
export function watchConfig(store: ConfigStore, metrics: Metrics, log: Log): void {
  const show = (snapshot: Snapshot): void => metrics.configVersion(snapshot.version, snapshot.generation)
  show(store.current())
  store.onReload((reload) => {
    if (reload.result !== 'unchanged') metrics.configReload(reload.result === 'applied' ? 'accepted' : 'rejected')
    if (reload.result === 'applied') show(store.current())
    if (reload.result === 'rejected')
      log.error(
        { problems: reload.problems.slice(0, 20).map(formatProblem) },
        'the config was rejected; the old one stays in force',
      )
    else log.info({ result: reload.result, version: reload.version, notes: reload.notes }, 'config read')
  })
  store.watch()
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

function closeAdmin(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
