/**
 * Who calls by a token (JWT) of an issuer that the config names. A token that was verified is remembered until it expires,
 * and for five minutes at most, so that a key that the issuer took back counts no longer than that.
 */
import { decodeJwt, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import { LookupBound } from '../accounts/record-cache.ts'
import type { JwtIssuer } from '../config/snapshot.ts'
import { NAME, nameOrHash } from '../core/name-or-hash.ts'
import { RecentMap } from '../core/recent-map.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { IssuerAway, IssuerKeys, type KeysFetch } from './issuer-keys.ts'
import type { TokenProblem, Tokens, VerifiedToken } from './token.ts'

const SKEW_SECONDS = 60
const KEPT_MS = 300_000
const KEPT_MAX = 10_000
const VERIFIED_AT_ONCE = 256
/** For one token; an issuer has two or three at a time. */
const KEYS_TRIED_MAX = 16

type Checked = VerifiedToken | TokenProblem

interface Issuer {
  readonly config: JwtIssuer
  readonly keys: IssuerKeys
  /** Its own: one whose keys are slow to come holds up no token of another. */
  readonly bound: LookupBound
}

export interface TokenCallersOptions {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'issuers' | 'issuerFetch'>
  readonly nowMs?: () => number
}

export class TokenCallers implements Tokens {
  readonly #issuers: ReadonlyMap<string, Issuer>
  readonly #nowMs: () => number
  readonly #known = new RecentMap<VerifiedToken>(KEPT_MAX)

  constructor(issuers: readonly JwtIssuer[], options: TokenCallersOptions) {
    const { log, metrics, nowMs = Date.now } = options
    this.#nowMs = nowMs
    metrics.issuers(issuers.map(({ issuer }) => issuer))
    this.#issuers = new Map(
      issuers.map((config) => {
        const tell = tellOutages(config.issuer, log)
        const onFetch = (fetch: KeysFetch): void => {
          metrics.issuerFetch(config.issuer, fetch.result)
          tell(fetch)
        }
        const keys = new IssuerKeys(config.jwksUrl, { nowMs, onFetch })
        return [config.issuer, { config, keys, bound: new LookupBound(VERIFIED_AT_ONCE) }]
      }),
    )
  }

  async check(token: string, sha256: string): Promise<Checked> {
    const known = this.#known.get(sha256)
    if (known !== undefined && this.#nowMs() < known.untilMs) return known
    const issuer = this.#issuers.get(issuerOf(token))
    if (issuer === undefined) return invalid('no issuer of the config made it')
    const checked = await (issuer.bound.run(() => this.#verify(token, issuer)) ?? ({ problem: 'busy' } as const))
    if (checked.problem === undefined) this.#known.set(sha256, checked)
    return checked
  }

  async #verify(token: string, { config, keys }: Issuer): Promise<Checked> {
    const options = {
      issuer: config.issuer,
      audience: config.audience,
      algorithms: [...config.algorithms],
      clockTolerance: SKEW_SECONDS,
      requiredClaims: ['exp'],
      currentDate: new Date(this.#nowMs()),
    }
    try {
      return this.#read(config, await payloadOf(token, keys, options))
    } catch (error) {
      if (error instanceof IssuerAway) return { problem: 'issuer_away' }
      if (error instanceof errors.JOSEError) return invalid(reasonOf(error))
      // What the crypto of Node says of a key that is too short, or none.
      if (error instanceof TypeError || error instanceof DOMException)
        return invalid('the key of its issuer that signed it cannot be used')
      throw error
    }
  }

  #read(config: JwtIssuer, payload: JWTPayload): Checked {
    const claim = config.accountClaim
    const claimed = claim !== undefined && Object.hasOwn(payload, claim) ? payload[claim] : undefined
    // One that is there and no account is not taken for none.
    const account = claimed ?? config.account
    if (typeof account !== 'string' || !NAME.test(account)) return { problem: 'no_account_claim' }
    const labels = Object.entries(config.labels).flatMap(([label, claim]) => {
      const value = textOf(payload, claim)
      return value === undefined ? [] : [[label, value] as const]
    })
    const expiresMs = ((payload.exp as number) + SKEW_SECONDS) * 1000
    const untilMs = Math.min(expiresMs, this.#nowMs() + KEPT_MS)
    return { account, key: textOf(payload, config.keyClaim) ?? 'jwt', labels: Object.fromEntries(labels), untilMs }
  }
}

/** A line as an outage begins, one when the last keys that were kept are too old, and one as it ends: not one a fetch. */
function tellOutages(issuer: string, log: Log): (fetch: KeysFetch) => void {
  let told: 'nothing' | 'kept' | 'refused' = 'nothing'
  return (fetch) => {
    if (fetch.result === 'fetched') {
      if (told !== 'nothing') log.info({ issuer }, 'the keys of an issuer of tokens can be fetched again')
      told = 'nothing'
      return
    }
    const now = fetch.kept ? 'kept' : 'refused'
    if (told === now || told === 'refused') return
    told = now
    log.error(
      { issuer, error: fetch.error },
      fetch.kept
        ? 'the keys of an issuer of tokens cannot be fetched; those of the last hour still count'
        : 'the keys of an issuer of tokens cannot be fetched; its callers are answered 503',
    )
  }
}

/** A token that names no key may be by any that its algorithm fits. */
async function payloadOf(token: string, keys: IssuerKeys, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys.find, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    let tried = 0
    for await (const key of error) {
      if (++tried > KEYS_TRIED_MAX) break
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch (wrong) {
        if (!(wrong instanceof errors.JWSSignatureVerificationFailed)) throw wrong
      }
    }
    throw error
  }
}

/** Not verified yet: it says whose keys are to be asked. */
function issuerOf(token: string): string {
  try {
    const { iss } = decodeJwt(token)
    return typeof iss === 'string' ? iss : ''
  } catch {
    return ''
  }
}

function textOf(payload: JWTPayload, claim: string): string | undefined {
  const value = Object.hasOwn(payload, claim) ? payload[claim] : undefined
  if (typeof value === 'number' || typeof value === 'boolean') return nameOrHash(String(value))
  return typeof value === 'string' && value !== '' ? nameOrHash(value) : undefined
}

function invalid(reason: string): TokenProblem {
  return { problem: 'invalid_token', reason }
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim "${error.claim}" is missing or wrong`
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not one of the config'
  return 'its signature is not by a key of its issuer'
}
