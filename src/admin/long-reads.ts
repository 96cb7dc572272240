/** Reports read whole ledgers: few at once, and none for a caller that has gone. */
import type { ServerResponse } from 'node:http'
import { AdminError } from './admin-error.ts'
import type { AdminDependencies } from './route.ts'

const AT_ONCE = 4
const running = new WeakMap<AdminDependencies, number>()

/** Runs `read` with a signal that ends it when the caller hangs up. Throws 503 while as many run as may. */
export async function longRead<T>(
  admin: AdminDependencies,
  response: ServerResponse,
  read: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const before = running.get(admin) ?? 0
  if (before >= AT_ONCE) {
    throw new AdminError(503, 'overloaded', `${AT_ONCE} reports are being made already; wait for one to end.`)
  }
  running.set(admin, before + 1)
  const gone = new AbortController()
  const end = (): void => gone.abort()
  response.once('close', end)
  try {
    return await read(gone.signal)
  } catch (error) {
    // Nobody reads the answer; it is no fault of the gateway that a log should tell of.
    if (gone.signal.aborted) throw new AdminError(503, 'overloaded', 'The caller has gone.')
    throw error
  } finally {
    response.off('close', end)
    running.set(admin, (running.get(admin) ?? 1) - 1)
  }
}
