import { mustExist } from './account-routes.ts'
import { unknown } from './admin-error.ts'
import { followLedger } from './follow-ledger.ts'
import { CHARGE_TYPES, ledgerJson } from './render-wallet.ts'
import { type Route, route } from './route.ts'
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
    const { after: afterSeq, limit, type } = query
    // One more than asked for tells whether there is a next page.
    const entries = await admin.wallet.ledger(account, { afterSeq, limit: limit + 1, type })
    const items = entries.slice(0, limit)
    const next = entries.length > limit ? String(items.at(-1)?.seq) : null
    return { status: 200, body: { items: items.map((entry) => ledgerJson(entry, account)), next } }
  },
})

const charge = route({
  method: 'GET',
  path: '/charges/:charge',
  role: 'viewer',
  summary: 'One charge; its id is ACCOUNT:SEQ of its settle',
  answer: chargeAnswer,
  async handle({ admin, path }) {
    const id = path['charge'] ?? ''
    const match = /^(.+):([1-9]\d{0,15})$/.exec(id)
    if (!match) throw unknown('charge', id)
    const [account, seq] = [match[1] as string, Number(match[2])]
    const [entry] = await admin.wallet.ledger(account, { afterSeq: seq - 1, limit: 1, type: undefined })
    if (entry?.seq !== seq || !CHARGE_TYPES.includes(entry.type)) throw unknown('charge', id)
    return { status: 200, body: { ...ledgerJson(entry, account), id, account } }
  },
})

export const LEDGER_ROUTES: readonly Route[] = [ledger, charge]
