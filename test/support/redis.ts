import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.ts'

export interface TestRedis {
  readonly url: string
  readonly port: number
  /** SIGTERM (or SIGKILL: `kill`), then waits for the process to be gone. */
  stop(how?: 'term' | 'kill'): Promise<void>
}

export interface TestRedisOptions {
  /** Append-only file in `dir`, written at each command; default: nothing on disk. */
  readonly aof?: boolean
  readonly dir?: string
  /** The port of an earlier server that was stopped; default: a free one. */
  readonly port?: number
  /** Further arguments, such as ['--maxmemory', '3mb']. */
  readonly args?: readonly string[]
}

const program = ['redis-server', 'valkey-server'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

/** Whether tests that need a real server can run. Under CI a missing one is a failure, not a reason to skip. */
export const redisAvailable: boolean = program !== undefined || process.env['CI'] === 'true'

if (!redisAvailable) {
  console.warn('skipped: no redis-server or valkey-server on PATH (Debian: apt-get install redis-server)')
}

/** Starts a private server on a loopback port. Throws where none is installed or it does not answer in 30 s. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  if (program === undefined) {
    throw new Error('no redis-server or valkey-server on PATH; on Debian: apt-get install redis-server')
  }
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort())
    const child = spawn(program, serverArguments(port, options), { stdio: ['ignore', 'pipe', 'pipe'] })
    // Another process can take a free port before the server does: then a new one is tried, or the same one a little later.
    const problem = await readyOrProblem(child)
    if (problem === undefined) return running(child, port)
    if (attempt === 5) throw new Error(`${program} did not start: ${problem}`)
    if (options.port !== undefined) await sleep(500)
  }
}

function serverArguments(port: number, options: TestRedisOptions): string[] {
  const disk = options.aof ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const dir = options.dir === undefined ? [] : ['--dir', options.dir]
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--daemonize', 'no']
  return [...fixed, ...disk, ...dir, ...(options.args ?? [])]
}

/** undefined once the server accepts connections, else what it printed. */
function readyOrProblem(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    let output = ''
    let ready = false
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    const read = (chunk: Buffer): void => {
      if (ready) return
      output += chunk.toString()
      if (!/Ready to accept connections/.test(output)) return
      ready = true
      clearTimeout(timer)
      resolve(undefined)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('error', (error) => resolve(error.message))
    child.once('exit', () => {
      clearTimeout(timer)
      resolve(output.trim() || 'it exited without a word')
    })
  })
}

function running(child: ChildProcess, port: number): TestRedis {
  const gone = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
  // A test file that dies must not leave its server behind.
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    async stop(how = 'term') {
      child.kill(how === 'kill' ? 'SIGKILL' : 'SIGTERM')
      await gone
      process.off('exit', onExit)
    },
  }
}
