import { startGateway } from '../gateway.ts'
import { createLog } from '../log.ts'

/**
 * `tollgate serve`: runs until SIGINT or SIGTERM, then ends gracefully; a second one ends at once. SIGHUP reads the
 * hot files again. Prints where it serves on standard output. Answers the exit code.
 */
export async function serveCommand(configFile: string, env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLog(env['TOLLGATE_LOG_LEVEL'])
  // A broken assumption: what is owed is on disk, and a fresh process is safer than this one.
  process.on('uncaughtException', (error) => {
    log.error({ error }, 'an error that nothing caught; the gateway ends')
    process.exit(1)
  })
  const told = signalled()
  const gateway = await startGateway({ configFile, env, log })
  process.stdout.write(
    [
      `gateway  ${gateway.url}`,
      `admin    ${gateway.adminUrl}`,
      ...(gateway.adminToken === undefined ? [] : [`token    ${gateway.adminToken}`]),
      ...(gateway.redis.inMemory ? ['WARNING  balances live in memory only and are lost when the gateway ends'] : []),
      '',
    ].join('\n'),
  )
  process.on('SIGHUP', () => void gateway.reload().catch((error: unknown) => log.error({ error }, 'the reload failed')))
  const signal = await told
  log.info({ signal }, 'ending: running calls have their grace')
  process.once('SIGINT', () => process.exit(1))
  process.once('SIGTERM', () => process.exit(1))
  await gateway.stop()
  return 0
}

/** Listened for from the beginning: a stop during a slow start is a stop too. */
function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
}
