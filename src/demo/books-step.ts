/** The end of the walk: acme's ledger line by line, and every account's books added up. */
import type { BalanceView, LedgerView } from './finance.ts'
import { type Scene, type Step, sum } from './scene.ts'

const ACCOUNTS = ['acme', 'globex', 'umbrella', 'initech', 'hooli'] as const
const ENDS = new Set(['settle', 'void', 'timeout'])

export const BOOKS_STEP: Step = { title: 'The books', run: books }

async function books(scene: Scene): Promise<void> {
  const { out, finance } = scene
  out.say(
    'Every act of money is an entry in the ledger of its account, numbered without gaps, and each moves amounts from one place to another: from the fund that paid for a grant into the grant, from the grant to "consumed" or "expired". A hold moves nothing, it only sets aside, and an event says that a wallet crossed a line. This is the ledger of acme:',
  )
  out.gap()
  const ledgers = new Map<string, readonly LedgerView[]>()
  for (const account of ACCOUNTS) ledgers.set(account, await finance.ledger(account))
  const names = new GrantNames()
  out.table(
    ['no.  entry', 'amount', 'from -> to', 'available', 'held'],
    (ledgers.get('acme') ?? []).flatMap((entry) => ledgerRows(entry, names)),
  )
  out.gap()
  out.say('And all wallets of the walk:')
  out.gap()
  const balances = await Promise.all(ACCOUNTS.map((account) => finance.balance(account)))
  out.table(
    ['account', 'granted', 'held', 'posted', 'expired', 'available', 'debt', 'overflow', 'flagged'],
    balances.map((balance, index) => [ACCOUNTS[index] as string, ...amountsOf(balance)]),
  )
  out.gap()
  const all = [...ledgers.values()]
  scene.check(all.every(isGapless), 'the numbers of each ledger have no gaps')
  scene.check(
    all.flat().every((entry) => sum(...entry.legs.map((leg) => leg.amount)) === '0'),
    'in every entry what comes from somewhere goes somewhere: it adds up to 0',
  )
  scene.check(
    all.every(
      (entries) => count(entries, (entry) => entry.type === 'hold') === count(entries, (entry) => ENDS.has(entry.type)),
    ),
    'each hold has exactly one end',
  )
  scene.check(
    ACCOUNTS.every((account, index) => moved(ledgers.get(account) ?? [], 'consumed') === balances[index]?.posted),
    'what the ledgers say was consumed is what the wallets say was posted',
  )
  scene.check(
    ACCOUNTS.every((account, index) => moved(ledgers.get(account) ?? [], 'expired') === balances[index]?.expired),
    'and so with what has expired',
  )
  scene.check(
    balances.every(addsUp),
    'granted + debt + overflow + flagged = posted + expired + available, in each wallet, and nothing is held',
  )
}

function amountsOf(balance: BalanceView): string[] {
  return [
    balance.granted,
    balance.held,
    balance.posted,
    balance.expired,
    balance.available,
    balance.debt,
    balance.overflow,
    balance.flagged,
  ]
}

/** A line for each movement of an entry, one for an entry without. */
function ledgerRows(entry: LedgerView, names: GrantNames): string[][] {
  const after = entry['balance_after'] as Readonly<Record<string, string>>
  const label = `${String(entry.seq).padStart(3)}  ${describe(entry)}`
  const rows: string[][] = []
  // Movements stand as pairs: the place that gives, then the one that takes.
  for (let i = 0; i + 1 < entry.legs.length; i += 2) {
    const [from, to] = [entry.legs[i], entry.legs[i + 1]]
    rows.push(['', to?.amount ?? '', `${names.of(from?.account ?? '')} -> ${names.of(to?.account ?? '')}`, '', ''])
  }
  if (rows.length === 0) rows.push(['', '', '', '', ''])
  rows[0] = [label, ...(rows[0] as string[]).slice(1, 3), after['available'] ?? '', after['held'] ?? '']
  return rows
}

function describe(entry: LedgerView): string {
  const about = entry.type === 'event' ? entry['event'] : entry['model']
  return typeof about === 'string' ? `${entry.type} ${about}` : entry.type
}

/** Grants by the order in which they came, as their ids say nothing to a reader. */
class GrantNames {
  readonly #names = new Map<string, string>()

  of(account: string): string {
    if (!account.startsWith('grant:')) return account
    const known = this.#names.get(account) ?? `grant ${this.#names.size + 1}`
    this.#names.set(account, known)
    return known
  }
}

function isGapless(entries: readonly LedgerView[]): boolean {
  return entries.every((entry, index) => entry.seq === index + 1)
}

function count(entries: readonly LedgerView[], fits: (entry: LedgerView) => boolean): number {
  return entries.filter(fits).length
}

/** Net of all movements into a place. */
function moved(entries: readonly LedgerView[], place: string): string {
  return sum(
    '0',
    ...entries.flatMap((entry) => entry.legs.filter((leg) => leg.account === place).map((leg) => leg.amount)),
  )
}

function addsUp(balance: BalanceView): boolean {
  const into = sum(balance.granted, balance.debt, balance.overflow, balance.flagged)
  const outOf = sum(balance.posted, balance.expired, balance.available)
  return into === outOf && balance.held === '0'
}
