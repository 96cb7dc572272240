import { openConfigStore } from '../config/config-store.ts'
import { SILENT_LOG } from '../log.ts'
import { connectRedis } from '../redis/client.ts'
import { startEmbeddedRedis } from '../redis/embedded.ts'
import { adoptInstance } from '../redis/guard.ts'
import { lockDataDir } from '../wallet/data-lock.ts'
import { CliError } from './cli-error.ts'

/** Where the Redis of a config is, started for the time of the command where it is the embedded one. */
async function reach(
  url: string,
  dataDir: string,
): Promise<{ readonly url: string; readonly release: () => Promise<void> }> {
  if (url !== '') return { url, release: async () => {} }
  const unlock = await lockDataDir(dataDir)
  try {
    const embedded = await startEmbeddedRedis({ dataDir, log: SILENT_LOG })
    if (embedded.inMemory) {
      await embedded.stop()
      throw new CliError('the embedded Redis keeps balances in memory only: there is nothing to adopt')
    }
    const release = async () => {
      await embedded.stop()
      unlock()
    }
    return { url: embedded.url, release }
  } catch (error) {
    unlock()
    throw error
  }
}

/** `tollgate adopt-redis`: the Redis of this config is meant, empty or another though it is. Answers what to print. */
export async function adoptCommand(configFile: string, env: NodeJS.ProcessEnv): Promise<string> {
  const store = await openConfigStore(configFile, env)
  const { settings } = store.current()
  store.close()
  const reached = await reach(settings.redis.url, settings.dataDir)
  const { limits } = settings
  const redis = connectRedis({
    url: reached.url,
    commandMs: 2_000,
    connectMs: limits.redisConnectMs,
    breakerFailures: limits.redisBreakerFailures,
    breakerWindowMs: limits.redisBreakerWindowMs,
    probeMs: limits.redisProbeMs,
  })
  try {
    await redis.whenUp(5_000)
    const { id, was, empty } = await adoptInstance(redis, settings.dataDir)
    if (was === id && !empty) return `This Redis is adopted already (instance ${id}).\n`
    const what = empty ? 'An empty Redis is adopted' : 'Another Redis is adopted'
    return `${what} as instance ${id}${was === undefined || was === id ? '' : ` (before: ${was})`}. Restart the gateway if it was refused.\n`
  } finally {
    redis.close()
    await reached.release()
  }
}
