import type { Redis } from 'ioredis'
import { newId } from '../../src/core/ids.ts'
import { waitFor } from './wait-for.ts'

/** Every command that the server was given during the act, those of its scripts too. */
export async function commandsOf(redis: Redis, act: () => Promise<unknown>): Promise<readonly string[]> {
  const monitor = await redis.duplicate().monitor()
  const seen: string[] = []
  monitor.on('monitor', (_time: string, args: readonly string[]) => seen.push(args.join(' ')))
  try {
    await act()
    // What follows on the same server is seen after all of it.
    const end = `end-${newId(1)}`
    await redis.echo(end)
    await waitFor('the last command', () => seen.some((command) => command.includes(end)))
  } finally {
    monitor.disconnect()
  }
  return seen
}
