/** From the credential of a request to who calls, or to the refusal. A key of the files is known without waiting. */
import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type CallerProblem, type Callers, type Found, MADE_KEY } from '../accounts/callers.ts'
import { actFor, type PlanProblem, type Resolved } from '../accounts/resolve.ts'
import type { Account, Snapshot, VirtualKey } from '../config/snapshot.ts'
import { anyGlobMatches } from '../core/glob.ts'
import { errorFacts, Refusal, WalletUnavailable } from '../errors.ts'
import { looksLikeToken, type TokenProblem, type Tokens, type VerifiedToken } from '../tokens/token.ts'
import { type CredentialProblem, findCredential } from './authenticate.ts'
import { walletUnavailable } from './call-refusals.ts'

export interface CallerQuestion {
  readonly callers: Pick<Callers, 'findKey' | 'findAccount'>
  /** Undefined: the config names no issuer of tokens. */
  readonly tokens: Tokens | undefined
  readonly snapshot: Snapshot
  readonly request: IncomingMessage
  readonly id: string
  /** Keys that the request carries elsewhere than other requests do. */
  readonly more?: readonly (string | undefined)[]
}

/** Throws, or rejects with, Refusal. */
export function callerKey(asked: CallerQuestion): VirtualKey | Promise<VirtualKey> {
  const { request, snapshot, callers, id, more = [] } = asked
  const target = request.url as string
  const mark = target.indexOf('?')
  const credential = findCredential(request, mark < 0 ? '' : target.slice(mark), more)
  if (credential.problem !== undefined) throw credentialRefusal(credential.problem, id)
  const sha256 = hash('sha256', credential.text, 'hex')
  const ofFiles = snapshot.keys.get(sha256)
  if (ofFiles) return callerOf(asked, { value: ofFiles })
  if (!MADE_KEY.test(credential.text)) return tokenCaller(asked, credential.text, sha256)
  const found = callers.findKey(sha256, snapshot)
  if (!(found instanceof Promise)) return callerOf(asked, found)
  return found.then(
    (answer) => callerOf(asked, answer),
    (error: unknown) => unreachable(error, id),
  )
}

/** A token of an issuer; anything else that is no key of the files is none at all. */
function tokenCaller(asked: CallerQuestion, text: string, sha256: string): Promise<VirtualKey> {
  const { tokens, request, id } = asked
  if (tokens === undefined || !looksLikeToken(text)) throw callerRefusal('unknown', '', id)
  return tokens.check(text, sha256).then((checked) => {
    if (checked.problem !== undefined) throw tokenRefusal(checked, id)
    if (request.headers['x-tollgate-account'] !== undefined)
      throw headerRefusal('may be sent only with a key that acts for other accounts; leave it out.', id)
    return callerOfToken(asked, checked, sha256)
  })
}

/** An account that nobody knows has the default plan, where there is one. */
async function callerOfToken(asked: CallerQuestion, token: VerifiedToken, sha256: string): Promise<VirtualKey> {
  const { callers, snapshot, id } = asked
  const found = await Promise.resolve(callers.findAccount(token.account, snapshot)).catch((error: unknown) =>
    unreachable(error, id),
  )
  let account = found.value
  if (found.problem === 'no_account') {
    if (snapshot.defaultPlan === undefined)
      throw notEntitled(`Neither the files nor Redis have the account ${JSON.stringify(token.account)}`, 'account', id)
    account = { id: token.account, plan: snapshot.defaultPlan, labels: {} }
  } else if (account === undefined) throw callerRefusal(found.problem as CallerProblem, planOf(found), id)
  return { id: token.key, sha256, account, labels: { ...account.labels, ...token.labels }, plan: account.plan }
}

function tokenRefusal(checked: TokenProblem, id: string): Refusal {
  switch (checked.problem) {
    case 'invalid_token':
      return unknownKey(`The token is not valid: ${checked.reason}.`, id)
    case 'no_account_claim':
      return notEntitled('The token names no account', 'account_claim', id)
    case 'busy':
      return callerRefusal('busy', '', id)
    case 'issuer_away':
      return new Refusal(
        errorFacts('overloaded', 'The keys of the token’s issuer cannot be fetched at the moment; try again.', id, {
          rule: 'jwks',
          retryAfterSeconds: 2,
        }),
      )
  }
}

/** The key itself, or for a backend's key the account that the request names. */
function callerOf(asked: CallerQuestion, found: Found<VirtualKey>): VirtualKey | Promise<VirtualKey> {
  const { request, callers, snapshot, id } = asked
  if (found.value === undefined) throw callerRefusal(found.problem, planOf(found), id)
  const key = found.value
  const named = request.headers['x-tollgate-account']
  if (key.actsFor === undefined) {
    if (named === undefined) return key
    throw headerRefusal('may be sent only with a key that acts for other accounts; leave it out.', id)
  }
  if (typeof named !== 'string' || named === '')
    throw headerRefusal('is missing: this key acts for other accounts, and each call names one.', id)
  if (!anyGlobMatches(key.actsFor, named)) throw notActingFor(named, id)
  const account = callers.findAccount(named, snapshot)
  if (!(account instanceof Promise)) return actingKey(snapshot, key, named, account, id)
  return account.then(
    (answer) => actingKey(snapshot, key, named, answer, id),
    (error: unknown) => unreachable(error, id),
  )
}

function actingKey(
  snapshot: Snapshot,
  key: VirtualKey,
  named: string,
  account: Found<Account>,
  id: string,
): VirtualKey {
  if (account.problem === 'no_account' || account.problem === 'closed') throw notActingFor(named, id)
  if (account.value === undefined) throw callerRefusal(account.problem, planOf(account), id)
  const acting = actFor(snapshot, key, account.value)
  if (acting.value === undefined) throw callerRefusal(acting.problem, acting.plan, id)
  return acting.value
}

function planOf(found: Found<unknown> | Resolved<unknown>): string {
  return 'plan' in found ? found.plan : ''
}

function unreachable(error: unknown, id: string): never {
  if (error instanceof WalletUnavailable) throw new Refusal(walletUnavailable(id))
  throw error
}

function headerRefusal(what: string, id: string): Refusal {
  return new Refusal(errorFacts('invalid_request', `x-tollgate-account ${what}`, id, { param: 'x-tollgate-account' }))
}

/** One answer for an account that is not there and one that is another's: nobody learns which there are. */
function notActingFor(named: string, id: string): Refusal {
  const shown = JSON.stringify(named.slice(0, 128))
  return new Refusal(
    errorFacts('not_entitled', `This key acts for no account ${shown}; name one that it acts for.`, id, {
      rule: 'acts_for',
      param: 'x-tollgate-account',
    }),
  )
}

function credentialRefusal(problem: CredentialProblem, id: string): Refusal {
  switch (problem) {
    case 'two_keys':
      return new Refusal(
        errorFacts('invalid_request', 'The request carries two different keys; send one.', id, {
          param: 'authorization',
        }),
      )
    case 'signed':
      return unknownKey('An AWS signature cannot carry a gateway key; send the key as "Authorization: Bearer KEY".', id)
    case 'missing':
      return unknownKey('No key was sent; send one as "Authorization: Bearer KEY" or "x-api-key: KEY".', id)
  }
}

function callerRefusal(problem: CallerProblem | PlanProblem, plan: string, id: string): Refusal {
  switch (problem) {
    case 'unknown':
      return unknownKey('The key is not known; check it, or ask for a new one.', id)
    case 'expired':
      return unknownKey('The key has expired; ask for a new one.', id)
    case 'no_account':
    case 'closed':
      return unknownKey('The account of this key is closed; ask whoever runs the gateway.', id)
    case 'plan_missing':
      return notEntitled(`The plan ${JSON.stringify(plan)} of this account is not in the config any more`, 'plan', id)
    case 'plan_overrides':
      return notEntitled('An amount in the overrides of this account or key does not fit the plan’s unit', 'plan', id)
    case 'unreadable':
      return notEntitled('The record of this account or key cannot be read', 'account', id)
    case 'busy':
      return new Refusal(
        errorFacts('overloaded', 'Too many keys are being looked up at this moment; try again.', id, {
          rule: 'key_lookups',
          retryAfterSeconds: 1,
        }),
      )
  }
}

function unknownKey(message: string, id: string): Refusal {
  return new Refusal(errorFacts('invalid_key', message, id))
}

function notEntitled(what: string, rule: string, id: string): Refusal {
  return new Refusal(errorFacts('not_entitled', `${what}; ask whoever runs the gateway.`, id, { rule }))
}
