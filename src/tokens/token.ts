/** Tokens (JWT) as the rest of the gateway sees them, without the code that verifies them. */

/** What a token says, once it is known to be its issuer's. */
export interface VerifiedToken {
  readonly problem?: undefined
  readonly account: string
  /** What stands for the key in the ledger. */
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  readonly untilMs: number
}

export type TokenProblem =
  /** With the reason as the caller may read it. */
  | { readonly problem: 'invalid_token'; readonly reason: string }
  | { readonly problem: 'no_account_claim' | 'issuer_away' | 'busy' }

export interface Tokens {
  /** `sha256`: of the token, by which it is remembered. */
  check(token: string, sha256: string): Promise<VerifiedToken | TokenProblem>
}

/** Three parts, the first a JSON object: what no key of ours looks like. */
export function looksLikeToken(text: string): boolean {
  return /^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(text)
}
