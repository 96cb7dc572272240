/** Accounts and prices for tests that talk through clients of formats other than OpenAI's and Anthropic's. */
import { sha256 } from '../support/gateway.ts'
import { PRICES } from './charged-call.ts'

const PLANS: Readonly<Record<string, string>> = { sliced: 'sliced', cuterror: 'cuterror', capped: 'capped' }
const ACCOUNTS = ['acme', 'poor', 'sliced', 'cuterror', 'capped', 'small', 'waiting', 'leaving']

/** Each account `NAME` has the key `key-NAME`. */
export const NATIVE_ENTITLEMENTS = `version: 1
plans:
  main: { unit: USD }
  capped: { unit: USD, max_output_tokens: 20 }
  sliced: { unit: USD, streaming: { slice_tokens: 200, on_cut: finish } }
  cuterror: { unit: USD, streaming: { slice_tokens: 200, on_cut: error } }
accounts:
${ACCOUNTS.map((name) => `  ${name}: { plan: ${PLANS[name] ?? 'main'}, keys: [ { id: k, sha256: "${sha256(`key-${name}`)}" } ] }`).join('\n')}
`

/** Searches and pictures have a price of their own, and no other. */
export const NATIVE_PRICES = `
  - { match: { model: "rerank-*" }, from: 2020-01-01, per_unit: { searches: "0.002" } }
  - { match: { model: "embed-images" }, from: 2020-01-01, per_unit: { images: "0.0001" } }
${PRICES}`

/** One slice: what is delivered when the money ends and what is charged may be this far apart. */
export const SLICE_TOKENS = 200

/** Counts how often a client sends, whatever becomes of it. */
export function countingFetch(): { readonly fetch: typeof fetch; sent: number } {
  const counter = {
    sent: 0,
    fetch: ((...request) => {
      counter.sent++
      return fetch(...request)
    }) as typeof fetch,
  }
  return counter
}
