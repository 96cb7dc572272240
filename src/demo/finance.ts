/** The admin API as finance uses it: gives credit, reads balances and the ledger. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryAgain } from './try-again.ts'

/** Decimal strings in `unit` (SPEC section 7). */
export interface BalanceView {
  readonly unit: string
  readonly granted: string
  readonly posted: string
  readonly expired: string
  readonly held: string
  readonly available: string
  readonly debt: string
  readonly overflow: string
  readonly flagged: string
}

export interface LedgerView {
  readonly seq: number
  readonly at: string
  readonly type: string
  readonly op: string
  readonly legs: readonly { readonly account: string; readonly amount: string }[]
  readonly [field: string]: unknown
}

/** The ledger's entry for the end of a call. */
export interface SettleView extends LedgerView {
  readonly request_id: string
  readonly charged: string
  readonly hold: string
  readonly tokens: Readonly<Record<string, number>>
  readonly usage_source: 'provider' | 'estimate'
  readonly drawn: readonly { readonly grant: string; readonly amount: string }[]
  readonly overage: { readonly mode: string; readonly amount: string } | null
}

export interface GrantTerms {
  readonly amount: string
  readonly funding: 'promotional' | 'invoiced' | 'external'
  readonly expiresAt?: string
}

const SETTLED_WITHIN_MS = 5_000

export class Finance {
  readonly #url: string
  readonly #token: string

  constructor(adminUrl: string, token: string) {
    this.#url = `${adminUrl}/admin/v1/`
    this.#token = token
  }

  /** Gives USD; the grant's id. */
  async grant(account: string, terms: GrantTerms): Promise<string> {
    const grant = await this.#ask<{ id: string }>('POST', `accounts/${account}/grants`, {
      amount: terms.amount,
      unit: 'USD',
      funding: terms.funding,
      ...(terms.expiresAt === undefined ? {} : { expires_at: terms.expiresAt }),
    })
    return grant.id
  }

  async balance(account: string): Promise<BalanceView> {
    const view = await this.#ask<{ balances: BalanceView[] }>('GET', `accounts/${account}`)
    const balance = view.balances.find(({ unit }) => unit === 'USD')
    if (balance === undefined) throw new Error(`the account ${account} has no wallet in USD`)
    return balance
  }

  async ledger(account: string): Promise<LedgerView[]> {
    const entries: LedgerView[] = []
    let after: string | null = '0'
    while (after !== null) {
      const page: { items: LedgerView[]; next: string | null } = await this.#ask(
        'GET',
        `accounts/${account}/ledger?after=${after}&limit=200`,
      )
      entries.push(...page.items)
      after = page.next
    }
    return entries
  }

  /** The end of a call, which is in the ledger a moment after the caller has the answer. */
  async settle(account: string, requestId: string): Promise<SettleView> {
    const deadlineMs = performance.now() + SETTLED_WITHIN_MS
    while (performance.now() < deadlineMs) {
      const found = (await this.ledger(account)).find(
        (entry) => entry.type === 'settle' && entry['request_id'] === requestId,
      )
      if (found !== undefined) return found as SettleView
      await sleep(20)
    }
    throw new Error(`no settlement of ${requestId} in the ledger within ${SETTLED_WITHIN_MS} ms`)
  }

  async #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const request = {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/json',
        // The same in each attempt: what was done by one that seemed to fail is not done twice.
        ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }
    const response = await tryAgain(() => fetch(this.#url + path, request))
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as T
  }
}
