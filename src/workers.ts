/** Worker processes that share the data port (node:cluster). The primary keeps the admin port, the sweep and the gauges. */
import cluster, { type Worker } from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DeniedModel } from './http/denied-models.ts'
import type { Log } from './log.ts'
import type { FamilyValues } from './metrics/families.ts'
import { RetiredMetrics } from './metrics/merge-metrics.ts'
import type { OutboxFigures } from './readiness.ts'

export interface WorkersOptions {
  readonly count: number
  readonly configFile: string
  readonly redisUrl: string
  readonly embeddedJs: boolean
  readonly env: NodeJS.ProcessEnv
  readonly log: Log
}

export interface Workers {
  readonly port: number
  /** Of those that answer within a second: a dead one is left out. */
  metrics(): Promise<(readonly FamilyValues[])[]>
  /** How each worker's outbox stands; undefined for one that does not answer within a second. */
  outboxes(): Promise<(OutboxFigures | undefined)[]>
  reload(): Promise<void>
  /** The config was read again: each worker forgets by itself what it denied, and a new one is told nothing. */
  forgetDenied(): void
  stop(graceMs: number): Promise<void>
}

export type ToWorker =
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'outbox'; readonly id: number }
  | { readonly type: 'reload'; readonly id: number }
  | { readonly type: 'stop'; readonly graceMs: number }
  /** Models that another worker was answered without usage. */
  | { readonly type: 'denied'; readonly models: readonly DeniedModel[] }
export type FromWorker =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'denied'; readonly models: readonly DeniedModel[] }

const RESTART_MS_MAX = 10_000
const ANSWER_MS = 1_000

export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('./worker.ts', import.meta.url)),
    args: [],
    serialization: 'advanced',
  })
  const pool = new WorkerPool(options)
  const port = await pool.start()
  return {
    port,
    metrics: () => pool.metrics(),
    outboxes: () => pool.outboxes(),
    reload: () => pool.reload(),
    forgetDenied: () => pool.forgetDenied(),
    stop: (graceMs) => pool.stop(graceMs),
  }
}

class WorkerPool {
  readonly #options: WorkersOptions
  readonly #workers = new Map<string, Worker>()
  readonly #lastMetrics = new Map<string, readonly FamilyValues[]>()
  readonly #retired = new RetiredMetrics()
  readonly #questions = new Map<number, (value: unknown) => void>()
  #nextQuestion = 1
  #denied: DeniedModel[] = []
  #stopping = false

  constructor(options: WorkersOptions) {
    this.#options = options
  }

  async start(): Promise<number> {
    const ports = await Promise.all(
      Array.from({ length: this.#options.count }, (_, index) => this.#fork(`w${index + 1}`)),
    )
    return ports[0] as number
  }

  #fork(name: string): Promise<number> {
    const { configFile, redisUrl, embeddedJs, env } = this.#options
    const worker = cluster.fork({
      ...env,
      TOLLGATE_WORKER: JSON.stringify({ name, configFile, redisUrl, embeddedJs }),
    })
    this.#workers.set(name, worker)
    const bornMs = performance.now()
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'listening') {
          // One that was started again must know what the others do.
          if (this.#denied.length > 0) worker.send({ type: 'denied', models: this.#denied } satisfies ToWorker)
          resolve(message.port)
        } else if (message.type === 'failed') reject(new Error(message.message))
        else if (message.type === 'denied') this.#tellDenied(worker, message.models)
        else this.#questions.get(message.id)?.(message.value)
      })
      worker.once('exit', (code, signal) => {
        this.#workers.delete(name)
        this.#retired.retire(this.#lastMetrics.get(name) ?? [])
        this.#lastMetrics.delete(name)
        reject(new Error(`worker ${name} ended before it was ready`))
        if (!this.#stopping) void this.#restart(name, performance.now() - bornMs, code, signal)
      })
    })
  }

  /** A worker that dies soon after its start is given more time before the next: a crash loop must not eat the machine. */
  async #restart(name: string, livedMs: number, code: number, signal: string): Promise<void> {
    this.#options.log.error({ worker: name, code, signal }, 'a worker ended; it is started again')
    await sleep(livedMs > RESTART_MS_MAX ? 50 : Math.min(RESTART_MS_MAX, 1_000))
    if (!this.#stopping)
      await this.#fork(name).catch((error: Error) =>
        this.#options.log.error({ worker: name, error }, 'a worker did not start'),
      )
  }

  /** Of the living, with the counts of those that have ended. */
  async metrics(): Promise<(readonly FamilyValues[])[]> {
    await Promise.all(
      [...this.#workers].map(async ([name, worker]) => {
        const values = await this.#askOne(worker, 'metrics', ANSWER_MS)
        if (values !== undefined && this.#workers.has(name))
          this.#lastMetrics.set(name, values as readonly FamilyValues[])
      }),
    )
    return [this.#retired.families, ...this.#lastMetrics.values()]
  }

  async outboxes(): Promise<(OutboxFigures | undefined)[]> {
    const { count } = this.#options
    const asked = [...this.#workers.values()].map((worker) => this.#askOne(worker, 'outbox', ANSWER_MS))
    const figures = (await Promise.all(asked)) as (OutboxFigures | undefined)[]
    // One that is about to be started again is not among them.
    return [...figures, ...Array.from({ length: Math.max(0, count - figures.length) }, () => undefined)]
  }

  #tellDenied(teller: Worker, models: readonly DeniedModel[]): void {
    this.#denied.push(...models)
    for (const worker of this.#workers.values())
      if (worker !== teller && worker.isConnected()) worker.send({ type: 'denied', models } satisfies ToWorker)
  }

  /** The config was read again: what was denied is tried anew. */
  forgetDenied(): void {
    this.#denied = []
  }

  async reload(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => this.#askOne(worker, 'reload', 10_000)))
  }

  #askOne(worker: Worker, type: 'metrics' | 'outbox' | 'reload', withinMs: number): Promise<unknown> {
    const id = this.#nextQuestion++
    return new Promise((resolve) => {
      const done = (value: unknown): void => {
        clearTimeout(timer)
        this.#questions.delete(id)
        resolve(value)
      }
      const timer = setTimeout(done, withinMs, undefined)
      this.#questions.set(id, done)
      if (!worker.isConnected()) done(undefined)
      else worker.send({ type, id } satisfies ToWorker, (error) => error && done(undefined))
    })
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    const gone = [...this.#workers.values()].map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    for (const worker of this.#workers.values())
      if (worker.isConnected()) worker.send({ type: 'stop', graceMs } satisfies ToWorker)
    await Promise.race([Promise.all(gone), sleep(graceMs + 10_000, undefined, { ref: false })])
    for (const worker of this.#workers.values()) worker.process.kill('SIGKILL')
  }
}
