import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Log } from '../log.ts'
import type { EmbeddedRedis } from './embedded.ts'

const PROGRAM = fileURLToPath(new URL('embedded-memory-main.ts', import.meta.url))
const START_MS = 20_000

/** `js-redis-server` in a process of its own, on a free loopback port: its Lua would hold up the gateway's loop. */
export async function startMemoryRedis(log: Pick<Log, 'info' | 'error'>): Promise<EmbeddedRedis> {
  // Detached: Ctrl-C in a terminal goes to the whole group, and the gateway still has calls to settle then.
  const child = spawn(process.execPath, [PROGRAM], { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const port = await readPort(child)
  let stopping = false
  child.once('exit', (code) => {
    if (!stopping) log.error({ code }, 'the in-memory Redis ended: balances are lost, restart the gateway')
  })
  log.info({ port }, 'in-memory Redis started')
  return {
    url: `redis://127.0.0.1:${port}`,
    kind: 'js-redis-server',
    inMemory: true,
    stop: () => {
      stopping = true
      return endChild(child)
    },
  }
}

async function readPort(child: ChildProcess): Promise<number> {
  const timeout = AbortSignal.timeout(START_MS)
  const failed = once(child, 'exit', { signal: timeout }).then(([code]) => {
    throw new Error(`the in-memory Redis ended at its start with code ${code}`)
  })
  const [message] = await Promise.race([once(child, 'message', { signal: timeout }), failed])
  return (message as { port: number }).port
}

/** The program ends when its parent's channel closes, as it does when the parent is killed. */
async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  if (child.connected) child.disconnect()
  else child.kill()
  await ended
}
