/**
 * The connection to Redis. Answers or fails fast: nothing is queued while Redis is away, every command has a time
 * limit, and after a run of failures a breaker answers at once until a probe gets through. It reconnects for ever.
 *
 * Two states. `up`: commands go out. Down: they are refused at once, and a PING each `probeMs` decides when to go up
 * again. ioredis's own re-sending is off (it ran a script twice where the caller saw one success); with it off a
 * command's promise may never settle, so each has a time limit here (command-deadlines.ts).
 */
import { Redis, type RedisOptions } from 'ioredis'
import { WalletUnavailable } from '../errors.ts'
import { CommandDeadlines, CommandTimedOut } from './command-deadlines.ts'

export type RedisArgument = string | number | Buffer

/** What a wallet needs of Redis. Errors: WalletUnavailable, or Redis's own error reply (NOSCRIPT, ERR …) as it came. */
export interface ScriptClient {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: RedisArgument[]): Promise<unknown>
  eval(script: string, numberOfKeys: number, ...keysAndArguments: RedisArgument[]): Promise<unknown>
}

export interface RedisClient extends ScriptClient {
  /** Any other command: `call('HGET', key, field)`. */
  call(command: string, ...args: RedisArgument[]): Promise<unknown>
  readonly up: boolean
  /** Why it is down; undefined when it is up. */
  readonly reason: string | undefined
  /** A real round trip, whatever the breaker says: true within the time limit, or false. */
  ping(): Promise<boolean>
  /** Resolves when it is up; rejects with WalletUnavailable when the time is over. */
  whenUp(withinMs: number): Promise<void>
  close(): void
}

export interface ConnectOptions {
  /** `redis://…`, `rediss://…`, `unix:///path` or an absolute path of a socket. */
  readonly url: string
  readonly commandMs: number
  readonly connectMs: number
  readonly breakerFailures: number
  readonly breakerWindowMs: number
  readonly probeMs: number
  /** Called at each change, with the reason when it went down. Never contains the URL's password. */
  readonly onState?: (up: boolean, reason: string) => void
}

const NOT_CONNECTED = 'not connected to Redis'
// A connection that swallows everything looks alive to TCP for minutes. This many silent probes in a row: a new one.
const SILENT_PROBES_BEFORE_RECONNECT = 4

/**
 * Error replies that mean "not now": Redis did not run the command. `trips`: the whole server is meant, so that it
 * counts for the breaker. OOM does not: settlements are still accepted at maxmemory.
 */
const REFUSALS: Readonly<Record<string, { readonly trips: boolean; readonly reconnects: boolean }>> = {
  LOADING: { trips: true, reconnects: false },
  BUSY: { trips: true, reconnects: false },
  MASTERDOWN: { trips: true, reconnects: false },
  CLUSTERDOWN: { trips: true, reconnects: false },
  TRYAGAIN: { trips: false, reconnects: false },
  NOAUTH: { trips: true, reconnects: false },
  NOPERM: { trips: false, reconnects: false },
  MISCONF: { trips: false, reconnects: false },
  NOREPLICAS: { trips: false, reconnects: false },
  OOM: { trips: false, reconnects: false },
  // Still talking to a demoted master: a new connection finds the new one.
  READONLY: { trips: true, reconnects: true },
}

/** How an error of a command is to be read. Exported for its table test. */
export function readRedisError(error: unknown): {
  readonly error: Error
  readonly trips: boolean
  readonly reconnects: boolean
} {
  if (!(error instanceof Error)) return { error: new Error(String(error)), trips: false, reconnects: false }
  // ioredis hangs the command with all its arguments on the error: amounts and labels have no place in a log.
  delete (error as { command?: unknown }).command
  if (error.name === 'ReplyError') {
    const word = /^[A-Z]+/.exec(error.message)?.[0] ?? ''
    const refusal = REFUSALS[word]
    if (!refusal) return { error, trips: false, reconnects: false }
    return { error: new WalletUnavailable(`Redis refuses: ${error.message}`, false, { cause: error }), ...refusal }
  }
  const unsent = /isn't writeable|Connection is closed/.test(error.message)
  const timedOut = error instanceof CommandTimedOut || error.message === 'Command timed out'
  const message = timedOut ? 'Redis did not answer in time' : 'the connection to Redis was lost'
  return {
    error: new WalletUnavailable(unsent ? NOT_CONNECTED : message, !unsent, { cause: error }),
    trips: true,
    reconnects: false,
  }
}

/** 50 ms, doubling to 2 s, with a tenth of jitter: gateways of a fleet must not come back in step. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(2_000, 50 * 2 ** Math.min(attempt - 1, 10)) * (0.9 + Math.random() * 0.2)
}

/** A connection as all of ours are: nothing is queued, nothing sent twice, tried again for ever. */
export function openConnection(options: Pick<ConnectOptions, 'url' | 'connectMs' | 'commandMs'>): Redis {
  const path = options.url.startsWith('/')
    ? options.url
    : options.url.startsWith('unix:')
      ? decodeURIComponent(new URL(options.url).pathname)
      : undefined
  const settings: RedisOptions = {
    connectTimeout: options.connectMs,
    // For the greeting that ioredis sends itself, which would be waited for for ever; ours have a limit of their own.
    commandTimeout: 5 * options.commandMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // Nobody would hear that it failed: who listens subscribes anew himself.
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    // Our own probe decides: ioredis's INFO would wait for ever on a server that loads or pauses.
    enableReadyCheck: false,
    disableClientInfo: true,
    // No connectionName: ioredis waits for the answer to it, and where the connection is lost meanwhile it takes itself
    // for connected and never tries again.
    retryStrategy: reconnectDelayMs,
  }
  return path === undefined ? new Redis(options.url, settings) : new Redis({ ...settings, path })
}

/**
 * The commands that calls send in one turn of the event loop leave in one write at its end: the system call costs more
 * than all else of a command. A turn with one command waits for nothing.
 */
function gatherWrites(stream: Redis['stream']): void {
  if (stream.writableCorked > 0) return
  stream.cork()
  setImmediate(uncork, stream)
}

function uncork(stream: Redis['stream']): void {
  stream.uncork()
}

class BreakingClient implements RedisClient {
  up = false
  reason: string | undefined = NOT_CONNECTED
  readonly #redis: Redis
  readonly #options: ConnectOptions
  readonly #deadlines: CommandDeadlines
  readonly #prober: NodeJS.Timeout
  readonly #failedAtMs: number[] = []
  readonly #waiting = new Set<() => void>()
  #probing = false
  #silentProbes = 0
  #closed = false

  constructor(options: ConnectOptions) {
    this.#options = options
    this.#redis = openConnection(options)
    this.#deadlines = new CommandDeadlines(options.commandMs)
    this.#redis.on('ready', () => void this.#probe())
    this.#redis.on('close', () => {
      this.#goDown(NOT_CONNECTED)
      this.#deadlines.failAll(new Error('the connection was lost'))
    })
    // Refused, unresolved, wrong password: the reason is kept for whoever asks; the retry is ioredis's.
    this.#redis.on('error', (error: Error) => {
      if (!this.up) this.reason = `${NOT_CONNECTED}: ${error.message}`
    })
    this.#prober = setInterval(() => void this.#probe(), options.probeMs)
    this.#prober.unref()
  }

  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: RedisArgument[]): Promise<unknown> {
    return this.#send('EVALSHA', [sha, numberOfKeys, ...keysAndArguments])
  }

  eval(script: string, numberOfKeys: number, ...keysAndArguments: RedisArgument[]): Promise<unknown> {
    return this.#send('EVAL', [script, numberOfKeys, ...keysAndArguments])
  }

  call(command: string, ...args: RedisArgument[]): Promise<unknown> {
    return this.#send(command, args)
  }

  async ping(): Promise<boolean> {
    await this.#probe()
    return this.up
  }

  async whenUp(withinMs: number): Promise<void> {
    if (this.up) return
    await new Promise<void>((resolve, reject) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(wake)
        reject(new WalletUnavailable(this.reason ?? NOT_CONNECTED, false))
      }, withinMs)
      this.#waiting.add(wake)
    })
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#prober)
    this.#redis.disconnect()
    this.#deadlines.close()
  }

  async #send(command: string, args: readonly RedisArgument[]): Promise<unknown> {
    if (!this.up) throw new WalletUnavailable(this.reason ?? NOT_CONNECTED, false)
    gatherWrites(this.#redis.stream)
    try {
      return await this.#deadlines.bound(this.#redis.call(command, ...args))
    } catch (thrown) {
      const read = readRedisError(thrown)
      if (read.trips) this.#countFailure(read.error.message)
      if (read.reconnects) this.#reconnect(read.error.message)
      throw read.error
    }
  }

  #countFailure(reason: string): void {
    const nowMs = performance.now()
    this.#failedAtMs.push(nowMs)
    while ((this.#failedAtMs[0] ?? nowMs) < nowMs - this.#options.breakerWindowMs) this.#failedAtMs.shift()
    if (this.#failedAtMs.length >= this.#options.breakerFailures) this.#goDown(reason)
  }

  #reconnect(reason: string): void {
    if (this.#redis.status !== 'ready') return
    this.#goDown(reason)
    this.#redis.disconnect(true)
  }

  async #probe(): Promise<void> {
    if (this.#probing || this.#closed) return
    if (this.#redis.status !== 'ready') return this.#goDown(NOT_CONNECTED)
    this.#probing = true
    try {
      await this.#deadlines.bound(this.#redis.ping())
      this.#silentProbes = 0
      this.#goUp()
    } catch (thrown) {
      const { error } = readRedisError(thrown)
      this.#silentProbes = error instanceof WalletUnavailable && error.unknown ? this.#silentProbes + 1 : 0
      this.#goDown(error.message)
      this.reason = error.message
      if (this.#silentProbes >= SILENT_PROBES_BEFORE_RECONNECT) {
        this.#silentProbes = 0
        this.#reconnect(error.message)
      }
    } finally {
      this.#probing = false
    }
  }

  #goUp(): void {
    if (this.up || this.#closed || this.#redis.status !== 'ready') return
    this.up = true
    this.reason = undefined
    this.#failedAtMs.length = 0
    for (const wake of this.#waiting) wake()
    this.#options.onState?.(true, '')
  }

  #goDown(reason: string): void {
    // The first reason stays: "connection refused" says more than the "not connected" of each probe after it.
    if (!this.up) return
    this.up = false
    this.reason = reason
    if (!this.#closed) this.#options.onState?.(false, reason)
  }
}

/** Begins to connect at once and returns at once; `whenUp` waits for the first answer. */
export function connectRedis(options: ConnectOptions): RedisClient {
  return new BreakingClient(options)
}
