/** What a charge was for: its own entry says so, that of a timeout leaves it to the hold's, a refund to the charge's. */
import type { Funding, LedgerEntry, Wallet } from '../wallet/wallet-types.ts'
import type { CallFacts } from './dimensions.ts'
import { entryAt, findHold, type LedgerPages } from './ledger-scan.ts'

/** Of one account, whose entries it sees in their order. Holds at most what is open at a time. */
export class CallFactsReader {
  readonly #ledger: LedgerPages
  readonly #account: string
  readonly #open = new Map<string, CallFacts>()

  constructor(ledger: LedgerPages, account: string) {
    this.#ledger = ledger
    this.#account = account
  }

  /** Sees an entry that comes before those asked for, or is none of a charge. */
  pass(entry: LedgerEntry): void {
    if (entry.type === 'hold') this.#open.set(entry.op, factsOf(this.#account, entry))
    else if (entry.type === 'settle' || entry.type === 'void' || entry.type === 'timeout') this.#open.delete(entry.op)
  }

  /** Of a charge or a refund. */
  async of(entry: LedgerEntry): Promise<CallFacts> {
    if (entry.type === 'refund') {
      const charge = await entryAt(this.#ledger, this.#account, Number(entry.fields['charge']))
      return charge ? this.of(charge) : { account: this.#account }
    }
    if (entry.type !== 'timeout') return factsOf(this.#account, entry)
    const open = this.#open.get(entry.op)
    if (open) return open
    const hold = await findHold(this.#ledger, this.#account, entry.op)
    return hold ? factsOf(this.#account, hold) : { account: this.#account }
  }
}

function factsOf(account: string, { fields }: LedgerEntry): CallFacts {
  const { key, user, run, model, upstream, endpoint, labels } = fields as Omit<CallFacts, 'account'>
  return { account, key, user, run, model, upstream, endpoint, labels }
}

/** How the grants of an account were paid for. */
export class FundingReader {
  readonly #wallet: Pick<Wallet, 'grants'>
  readonly #account: string
  #known: ReadonlyMap<string, Funding> = new Map()

  constructor(wallet: Pick<Wallet, 'grants'>, account: string) {
    this.#wallet = wallet
    this.#account = account
  }

  /** Reads the grants where the entry has one that was not there when they were last read. */
  async prepare(entry: LedgerEntry): Promise<void> {
    const isKnown = ({ account }: LedgerEntry['legs'][number]): boolean =>
      !account.startsWith('grant:') || this.#known.has(account.slice('grant:'.length))
    if (entry.legs.every(isKnown)) return
    this.#known = new Map((await this.#wallet.grants(this.#account)).map(({ id, funding }) => [id, funding]))
  }

  /** Throws for a grant that the account does not have. */
  of(grant: string): Funding {
    const funding = this.#known.get(grant)
    if (!funding) throw new Error(`ledger: a charge drew on grant ${grant}, which ${this.#account} does not have`)
    return funding
  }
}
