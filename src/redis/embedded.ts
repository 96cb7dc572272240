import type { Log } from '../log.ts'
import { startMemoryRedis } from './embedded-memory.ts'
import { startPrivateServer } from './embedded-server.ts'
import { findRedisBinary } from './find-redis-binary.ts'

export interface EmbeddedRedis {
  /** An absolute path of a unix socket, or `redis://:password@127.0.0.1:port`. */
  readonly url: string
  readonly kind: 'redis-server' | 'valkey-server' | 'js-redis-server'
  /** Balances are gone with the process: shown on the terminal, in /readyz and in a metric. */
  readonly inMemory: boolean
  /** Ends the server once everything it acknowledged is on disk. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  /** The server's files go to `redis/` in it. To be locked by the caller: two gateways on one AOF would break it. */
  readonly dataDir: string
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Where `redis-server` and `valkey-server` are looked for; default: PATH. */
  readonly searchPath?: string
}

/**
 * The private Redis of a gateway that is given none: `redis-server` or `valkey-server` with its AOF under `dataDir`,
 * so that balances survive a restart; where neither is found in a version that serves, `js-redis-server`, which keeps
 * them in memory alone. A server that a killed gateway left behind on the same directory is taken over.
 *
 * Throws where a server is there but cannot start (its log's last lines are in the message) or the disk is full.
 */
export async function startEmbeddedRedis(options: EmbeddedOptions): Promise<EmbeddedRedis> {
  const { dataDir, log } = options
  const { binary, rejected } = await findRedisBinary(options.searchPath ?? process.env['PATH'] ?? '')
  if (binary !== undefined) return startPrivateServer({ dataDir, log, binary })
  const found = rejected === undefined ? 'no redis-server or valkey-server on PATH' : rejected
  log.warn(
    { found },
    'balances live in memory only and are lost at exit: install Redis 7.0 or Valkey 7.2 (or later), or set redis.url',
  )
  return startMemoryRedis(log)
}
