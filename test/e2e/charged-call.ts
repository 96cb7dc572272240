/** What the ledger says of calls, beside what the provider said: for tests that talk through official clients. */
import { expect } from 'vitest'
import { formatAmount } from '../../src/core/money.ts'
import type { LedgerEntry } from '../../src/wallet/wallet-types.ts'
import { sha256, type TestGateway } from '../support/gateway.ts'
import { waitFor } from '../support/wait-for.ts'

/** USD a million: each kind has a price of its own, so that a kind that is taken for another shows. */
export const PRICES = `
  - match: { model: "*" }
    from: 2020-01-01
    per_million: { input: "2.00", cached_input: "0.50", cache_write_5m: "2.50", cache_write_1h: "4.00", output: "8.00" }
    context_window: 128000
    max_output_tokens: 4096
`
const ATOMS_PER_TOKEN: Readonly<Record<string, bigint>> = {
  input: 2_000n,
  cached_input: 500n,
  cache_write_5m: 2_500n,
  cache_write_1h: 4_000n,
  output: 8_000n,
}

/** Accounts `acme`, `other` (plan main), `poor` (main, never funded) and `sliced`; their keys are `key-NAME`. */
export const ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD, models: ["gpt-*", "text-embedding-*", "claude-*"] }
  sliced: { unit: USD, streaming: { slice_tokens: 200, on_cut: finish } }
accounts:
${['acme', 'other', 'poor', 'sliced', 'small', 'waiting']
  .map(
    (name) =>
      `  ${name}: { plan: ${name === 'sliced' ? 'sliced' : 'main'}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`,
  )
  .join('\n')}
`

export interface Charge {
  /** Disjoint kinds, without `reasoning`. */
  readonly tokens: Readonly<Record<string, number>>
  readonly reasoning: number
  readonly charged: string
  readonly source: unknown
  readonly entry: LedgerEntry
}

/** Hands out the ends of an account's calls in the order in which they were settled, each once. */
export class Charges {
  readonly #gateway: TestGateway
  readonly #account: string
  #afterSeq = 0

  constructor(gateway: TestGateway, account: string) {
    this.#gateway = gateway
    this.#account = account
  }

  async next(): Promise<Charge> {
    const [entry] = await waitFor('a settlement in the ledger', async () => {
      const found = await this.#settles()
      return found.length > 0 && found
    })
    this.#afterSeq = (entry as LedgerEntry).seq
    return readCharge(entry as LedgerEntry)
  }

  /** Those that there are so far. */
  async skip(): Promise<void> {
    for (let found = await this.#settles(); found.length > 0; found = await this.#settles())
      this.#afterSeq = (found[0] as LedgerEntry).seq
  }

  async none(): Promise<boolean> {
    return (await this.#settles()).length === 0
  }

  #settles(): Promise<readonly LedgerEntry[]> {
    return this.#gateway.wallet.ledger(this.#account, { afterSeq: this.#afterSeq, limit: 1, type: 'settle' })
  }
}

function readCharge(entry: LedgerEntry): Charge {
  const { reasoning = 0, ...tokens } = entry.fields['tokens'] as Record<string, number>
  return { tokens, reasoning, charged: String(entry.fields['charged']), source: entry.fields['usage_source'], entry }
}

/** The charge of these tokens at PRICES, as a decimal string. */
function priceOf(tokens: Readonly<Record<string, number>>): string {
  let atoms = 0n
  for (const [kind, count] of Object.entries(tokens)) atoms += BigInt(count) * (ATOMS_PER_TOKEN[kind] as bigint)
  return formatAmount(atoms)
}

/** Reported by the provider, equal to the token, and priced as PRICES has it. */
export function expectCharge(charge: Charge, tokens: Readonly<Record<string, number>>): void {
  expect(charge.tokens).toEqual(tokens)
  expect(charge.charged).toBe(priceOf(tokens))
  expect(charge.source).toBe('provider')
}

export function nonZero(tokens: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(tokens).filter(([, count]) => count !== 0))
}
