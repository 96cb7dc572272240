import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { chmod, mkdir, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Log } from '../log.ts'
import type { EmbeddedRedis } from './embedded.ts'
import type { RedisBinary } from './find-redis-binary.ts'
import { isAlive, isRedisProcess } from './process-identity.ts'

const MIB = 1024 * 1024
// Below this Redis could not write the AOF for long, and a full disk ends in refused writes.
const DISK_LEAST_BYTES = 64 * MIB
const DISK_LOW_BYTES = 1024 * MIB
// A large AOF takes its time to load: as long as the process lives and says LOADING it is waited for.
const ANSWER_MS = 30_000
const EXIT_MS = 15_000
// sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
const SOCKET_PATH_BYTES_MAX = 103
const RESPAWN_MS = 1_000

interface ServerOptions {
  readonly dataDir: string
  readonly binary: RedisBinary
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
}

/** Starts the server, or takes over one that a killed gateway left behind on the same directory. */
export async function startPrivateServer(options: ServerOptions): Promise<EmbeddedRedis> {
  const asNamed = resolve(options.dataDir, 'redis')
  await mkdir(asNamed, { recursive: true, mode: 0o700 })
  // Redis reports its directory with symbolic links resolved.
  const directory = await realpath(asNamed)
  await checkDisk(directory, options.log)
  const server = new PrivateServer(directory, options)
  await server.start()
  return {
    url: server.url,
    kind: options.binary.kind,
    inMemory: false,
    stop: () => server.stop(),
  }
}

async function checkDisk(directory: string, log: ServerOptions['log']): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const freeBytes = bavail * bsize
  const freeMiB = Math.floor(freeBytes / MIB)
  if (freeBytes < DISK_LEAST_BYTES) {
    throw new Error(`${directory}: ${freeMiB} MiB of disk are free; the embedded Redis needs 64 MiB at least`)
  }
  if (freeBytes < DISK_LOW_BYTES) log.warn({ directory, freeMiB }, 'little disk is left for the embedded Redis')
}

class PrivateServer {
  url = ''
  readonly #directory: string
  readonly #options: ServerOptions
  /** Undefined where the process could not even be started. */
  #pid: number | undefined
  #stopping = false
  readonly #onExit = () => this.#signal('SIGTERM')

  constructor(directory: string, options: ServerOptions) {
    this.#directory = directory
    this.#options = options
  }

  async start(): Promise<void> {
    if (!(await this.#takeOver())) await this.#spawn()
    // A process.exit() somewhere leaves no server behind; SIGTERM lets Redis write its AOF to the end.
    process.once('exit', this.#onExit)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    process.off('exit', this.#onExit)
    await shutDown(this.url)
    await this.#ended()
    await rm(this.#file('redis.sock'), { force: true })
  }

  #file(name: string): string {
    return join(this.#directory, name)
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#pid === undefined) return
    try {
      process.kill(this.#pid, signal)
    } catch {
      // Gone already.
    }
  }

  /** True where a server of this directory lives and answers; one that lives and does not is ended. */
  async #takeOver(): Promise<boolean> {
    const pid = Number(await readOr(this.#file('redis.pid'), '0'))
    if (!(pid > 0 && isAlive(pid) && (await isRedisProcess(pid)))) return false
    this.#pid = pid
    this.url = (await readOr(this.#file('url'), '')).trim()
    const answered = this.url === '' ? 'nothing' : await waitForAnswer(this.url, () => isAlive(pid))
    if (answered === 'pong' && (await servesDirectory(this.url, this.#directory))) {
      this.#options.log.info({ pid }, 'embedded Redis of a gateway that was killed taken over')
      return true
    }
    this.#options.log.warn({ pid }, 'a Redis left behind does not answer: it is ended')
    this.#signal('SIGTERM')
    await this.#ended()
    return false
  }

  async #ended(): Promise<void> {
    const pid = this.#pid
    const deadlineMs = performance.now() + EXIT_MS
    while (pid !== undefined && isAlive(pid)) {
      if (performance.now() > deadlineMs) {
        this.#options.log.warn({ pid }, 'the embedded Redis does not end: killed')
        this.#signal('SIGKILL')
      }
      await sleep(20)
    }
  }

  async #spawn(): Promise<void> {
    await rm(this.#file('redis.sock'), { force: true })
    const { configuration, url } = await describeServer(this.#directory)
    await writeSecret(this.#file('redis.conf'), configuration)
    await writeSecret(this.#file('url'), url)
    this.url = url
    const child = this.#launch()
    let failure: string | undefined
    child.once('error', (error) => {
      failure = error.message
    })
    child.once('exit', (code, signal) => {
      failure = `it ended with ${signal ?? `code ${code}`}`
    })
    const answered = await waitForAnswer(url, () => failure === undefined)
    if (answered !== 'pong') {
      this.#signal('SIGTERM')
      const log = (await readOr(this.#file('redis.log'), '')).trimEnd().split('\n').slice(-5).join('\n')
      throw new Error(`${this.#options.binary.path} did not start (${failure ?? 'no answer'}):\n${log}`)
    }
    child.once('exit', (code, signal) => void this.#respawn(signal ?? String(code)))
    const { kind, version } = this.#options.binary
    this.#options.log.info({ kind, version, pid: this.#pid, directory: this.#directory }, 'embedded Redis started')
  }

  #launch(): ChildProcess {
    const output = openSync(this.#file('redis.log'), 'a', 0o600)
    try {
      // Detached: Ctrl-C in a terminal goes to the whole group, and the gateway still has calls to settle then.
      const child = spawn(this.#options.binary.path, [this.#file('redis.conf')], {
        cwd: this.#directory,
        detached: true,
        stdio: ['ignore', output, output],
      })
      child.unref()
      this.#pid = child.pid
      return child
    } finally {
      closeSync(output)
    }
  }

  /** A server that dies under a running gateway comes back with what its AOF has; until then calls are refused. */
  async #respawn(how: string): Promise<void> {
    while (!this.#stopping) {
      this.#options.log.error({ how }, 'the embedded Redis ended: it is started again')
      await sleep(RESPAWN_MS)
      if (this.#stopping) return
      try {
        await this.#spawn()
        return
      } catch (error) {
        this.#options.log.error({ error }, 'the embedded Redis did not start again')
      }
    }
  }
}

/** The configuration and where it listens: a unix socket where its path fits, else a loopback port with a password. */
async function describeServer(directory: string): Promise<{ configuration: string; url: string }> {
  const socket = join(directory, 'redis.sock')
  const lines = [
    `dir ${quote(directory)}`,
    `pidfile ${quote(join(directory, 'redis.pid'))}`,
    'daemonize no',
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    // Money must never be evicted; a full Redis refuses new holds and still takes settlements.
    'maxmemory-policy noeviction',
  ]
  if (Buffer.byteLength(socket) <= SOCKET_PATH_BYTES_MAX) {
    lines.push('port 0', `unixsocket ${quote(socket)}`, 'unixsocketperm 700')
    return { configuration: `${lines.join('\n')}\n`, url: socket }
  }
  const password = randomBytes(24).toString('hex')
  const port = await freePort()
  lines.push('bind 127.0.0.1', `port ${port}`, `requirepass ${password}`)
  return { configuration: `${lines.join('\n')}\n`, url: `redis://:${password}@127.0.0.1:${port}` }
}

/** A path in redis.conf: quoted, so that blanks in it do no harm. */
function quote(path: string): string {
  return `"${path.replace(/["\\]/g, '\\$&')}"`
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer()
    server.once('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => found(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function writeSecret(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 })
  await chmod(path, 0o600)
}

async function readOr(path: string, otherwise: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return otherwise
  }
}

/** One connection that fails at once instead of trying again. */
async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const settings = {
    lazyConnect: true,
    connectTimeout: 1_000,
    commandTimeout: 2_000,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  }
  const redis = url.startsWith('/') ? new Redis({ ...settings, path: url }) : new Redis(url, settings)
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await question(redis)
  } finally {
    redis.disconnect()
  }
}

/** Waits while `alive` says so; an AOF that is being loaded does not count against the time. */
async function waitForAnswer(url: string, alive: () => boolean): Promise<'pong' | 'nothing'> {
  let deadlineMs = performance.now() + ANSWER_MS
  while (alive() && performance.now() < deadlineMs) {
    try {
      await ask(url, (redis) => redis.ping())
      return 'pong'
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('LOADING')) deadlineMs = performance.now() + ANSWER_MS
    }
    await sleep(20)
  }
  return 'nothing'
}

async function servesDirectory(url: string, directory: string): Promise<boolean> {
  try {
    const reply = await ask(url, (redis) => redis.config('GET', 'dir'))
    return Array.isArray(reply) && reply[1] === directory
  } catch {
    return false
  }
}

/** Redis answers SHUTDOWN by closing the connection, its AOF written; where it cannot be asked it has ended already. */
async function shutDown(url: string): Promise<void> {
  try {
    await ask(url, (redis) => redis.shutdown())
  } catch {
    // What counts is that the process ends, which the caller waits for.
  }
}
