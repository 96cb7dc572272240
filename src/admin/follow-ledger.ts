import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WalletUnavailable } from '../wallet/wallet-types.ts'
import { AdminError } from './admin-error.ts'
import { ledgerJson } from './render-wallet.ts'
import type { AdminDependencies } from './route.ts'

const POLL_MS = 500
const BEAT_MS = 15_000
const BATCH = 200
// Each follower reads the ledger twice a second.
const FOLLOWERS_MAX = 50

const followers = new WeakMap<AdminDependencies, Set<ServerResponse>>()

function join(admin: AdminDependencies, response: ServerResponse): Set<ServerResponse> {
  const set = followers.get(admin) ?? new Set()
  followers.set(admin, set)
  if (set.size >= FOLLOWERS_MAX) {
    throw new AdminError(503, 'overloaded', `${FOLLOWERS_MAX} streams follow ledgers already; close one.`)
  }
  return set.add(response)
}

/**
 * Answers with server-sent events: one for each entry after `after` (or after Last-Event-ID, so that an EventSource
 * goes on where it was), then each new one within half a second, until the caller hangs up. A Redis that is away is
 * waited for.
 */
export async function followLedger(
  admin: AdminDependencies,
  account: string,
  query: { readonly after: number; readonly type?: string | undefined },
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const all = join(admin, response)
  const closed = new AbortController()
  response.once('close', () => closed.abort())
  const lastId = request.headers['last-event-id']
  let afterSeq = typeof lastId === 'string' && /^\d{1,16}$/.test(lastId) ? Number(lastId) : query.after
  let saidMs = performance.now()
  try {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' })
    response.write(': the ledger follows\n\n')
    while (!closed.signal.aborted) {
      const { entries, lastSeq } = await entriesAfter(admin, account, afterSeq, query.type)
      afterSeq = lastSeq ?? afterSeq
      for (const entry of entries) {
        saidMs = performance.now()
        const data = JSON.stringify(ledgerJson(entry, account, admin.store.current().settings.unitScales))
        response.write(`id: ${entry.seq}\nevent: ${entry.type}\ndata: ${data}\n\n`)
      }
      if (performance.now() - saidMs > BEAT_MS) {
        saidMs = performance.now()
        response.write(': nothing new\n\n')
      }
      if (lastSeq === undefined) await sleep(POLL_MS, undefined, { signal: closed.signal })
      // A reader that does not read must not make us keep the whole ledger for it.
      else if (response.writableNeedDrain) await drained(response, closed.signal)
    }
  } catch (error) {
    if (!closed.signal.aborted) throw error
  } finally {
    all.delete(response)
  }
}

async function entriesAfter(admin: AdminDependencies, account: string, afterSeq: number, type: string | undefined) {
  try {
    return await admin.wallet.ledgerPage(account, { afterSeq, limit: BATCH, type })
  } catch (error) {
    if (error instanceof WalletUnavailable) return { entries: [], lastSeq: undefined }
    throw error
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    response.once('drain', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
