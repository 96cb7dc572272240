import type { LedgerEntry } from '../wallet/wallet-types.ts'
import { mustExist } from './account-routes.ts'
import { findCharge } from './correction-routes.ts'
import { followLedger } from './follow-ledger.ts'
import { ledgerJson } from './render-wallet.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { chargeAnswer, ledgerAnswer, ledgerQuery, pageOf } from './schemas.ts'

const ledger = route({
  method: 'GET',
  path: '/accounts/:account/ledger',
  role: 'viewer',
  summary:
    'Ledger of an account, oldest first; with "Accept: text/event-stream" the entries after `after`, and then each new one',
  query: ledgerQuery,
  answer: pageOf(ledgerAnswer),
  async handle(asked) {
    const { admin, path, query } = asked
    const account = path['account'] ?? ''
    await mustExist(admin, account)
    if (asked.request.headers.accept?.includes('text/event-stream')) {
      await followLedger(admin, account, query, asked)
      return undefined
    }
    const { items, next } = await readPageOf(admin, account, query)
    const { unitScales } = admin.store.current().settings
    return { status: 200, body: { items: items.map((entry) => ledgerJson(entry, account, unitScales)), next } }
  },
})

// A type that is rare in a long ledger: a page answers with what this many reads of 1,000 found, and where to go on.
const READS_A_PAGE = 50

async function readPageOf(
  admin: AdminDependencies,
  account: string,
  { after, limit, type }: { readonly after: number; readonly limit: number; readonly type?: string | undefined },
): Promise<{ readonly items: readonly LedgerEntry[]; readonly next: string | null }> {
  const found: LedgerEntry[] = []
  let afterSeq = after
  for (let reads = 0; reads < READS_A_PAGE; reads++) {
    // One more than asked for tells whether there is a next page.
    const page = await admin.wallet.ledgerPage(account, {
      afterSeq,
      limit: type ? 1000 : limit + 1 - found.length,
      type,
    })
    found.push(...page.entries)
    if (found.length > limit) return { items: found.slice(0, limit), next: String(found[limit - 1]?.seq) }
    if (page.lastSeq === undefined) return { items: found, next: null }
    afterSeq = page.lastSeq
  }
  return { items: found, next: String(afterSeq) }
}

const charge = route({
  method: 'GET',
  path: '/charges/:charge',
  role: 'viewer',
  summary: 'One charge; its id is ACCOUNT:SEQ of its settle',
  answer: chargeAnswer,
  async handle({ admin, path }) {
    const id = path['charge'] ?? ''
    const { account, entry } = await findCharge(admin, id)
    return {
      status: 200,
      body: { ...ledgerJson(entry, account, admin.store.current().settings.unitScales), id, account },
    }
  },
})

export const LEDGER_ROUTES: readonly Route[] = [ledger, charge]
