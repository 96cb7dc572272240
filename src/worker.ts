/** Entry of a worker process: a data plane of its own, told what to do by the primary. */
import { openConfigStore } from './config/config-store.ts'
import { startDataPlane } from './data-plane.ts'
import { openCore, watchConfig } from './gateway.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics/metrics.ts'
import { outboxFigures } from './readiness.ts'
import { recoverOutbox } from './wallet/recover-outbox.ts'
import type { FromWorker, ToWorker } from './workers.ts'

interface WorkerSettings {
  readonly name: string
  readonly configFile: string
  readonly redisUrl: string
  readonly embeddedJs: boolean
}

const log = createLog(process.env['TOLLGATE_LOG_LEVEL'])

// The primary decides when a worker stops; a Ctrl-C reaches the whole process group.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})
// Without its primary there is nobody to restart or stop it.
process.on('disconnect', () => process.exit(1))

// Its calls are in the outbox, and the primary starts another; Node's own print would show what Redis was asked.
process.on('uncaughtException', (error) => {
  log.error({ error }, 'an error that nothing caught; the worker ends')
  process.exit(1)
})

function tell(message: FromWorker): void {
  process.send?.(message)
}

async function run(): Promise<void> {
  const settings = JSON.parse(process.env['TOLLGATE_WORKER'] ?? '{}') as WorkerSettings
  const store = await openConfigStore(settings.configFile, process.env)
  const config = store.current().settings
  const metrics = createMetrics({ maxSeries: config.metrics.maxSeries })
  const core = await openCore({
    store,
    redisUrl: settings.redisUrl,
    embeddedJs: settings.embeddedJs,
    worker: settings.name,
    metrics,
    log,
  })
  await recoverOutbox({
    dataDir: config.dataDir,
    worker: settings.name,
    outbox: core.outbox,
    wallet: core.wallet,
    sweeper: core.sweeper,
    log,
  })
  watchConfig(store, metrics, log)
  const plane = await startDataPlane({
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
    peers: { tellDenied: (upstream, model) => tell({ type: 'denied', models: [[upstream, model]] }) },
  })
  process.on('message', (message: ToWorker) => {
    if (message.type === 'metrics')
      void metrics.export().then((value) => tell({ type: 'answer', id: message.id, value }))
    else if (message.type === 'outbox') tell({ type: 'answer', id: message.id, value: outboxFigures(core.outbox) })
    else if (message.type === 'reload')
      void store.reload().then(() => tell({ type: 'answer', id: message.id, value: true }))
    else if (message.type === 'denied') plane.takeDenied(message.models)
    else void stop(message.graceMs)
  })
  const stop = async (graceMs: number): Promise<void> => {
    await plane.stop(graceMs)
    await core.longCalls.stop()
    await core.sweeper.stop()
    await core.close(5_000)
    store.close()
    process.exit(0)
  }
  tell({ type: 'listening', port: plane.port })
}

run().catch((error: Error) => {
  tell({ type: 'failed', message: error.message })
  process.exitCode = 1
  setTimeout(() => process.exit(1), 100)
})
