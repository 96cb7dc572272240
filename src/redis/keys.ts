import { createHash } from 'node:crypto'

/** Account ids are names: nothing in them can end the hash tag or reach another account's keys. */
const NAME = /^[A-Za-z0-9._:@/+-]{1,128}$/
// The scripts count on these: an id's records live until BUCKET_MS past its time, and longer.
const OPERATIONS_BUCKET_MS = 600_000
const DENIALS_BUCKET_MS = 60_000

/** What the gateways have learnt of the size of calls: hashes of histograms by name. No money: they may be deleted. */
export const LEARNED_INPUT_KEY = 'tg:learned:input'
export const LEARNED_OUTPUT_KEY = 'tg:learned:output'

/** The fixed set of keys of one account, all in the slot of `{account}`. */
export interface AccountKeys {
  readonly account: string
  readonly grants: string
  readonly order: string
  readonly due: string
  readonly holds: string
  readonly ledger: string
  readonly budgets: string
  readonly events: string
  readonly refusals: string
  readonly grantKeys: string
  readonly refunds: string
  /** The first eight, in the order in which every script declares them. */
  readonly wallet: readonly string[]
  readonly prefix: string
}

/** Throws RangeError where the id is no name. */
export function accountKeys(account: string): AccountKeys {
  let keys = known.get(account)
  if (keys === undefined) {
    keys = makeAccountKeys(account)
    if (known.size >= KNOWN_MAX) known.clear()
    known.set(account, keys)
  }
  return keys
}

const KNOWN_MAX = 10_000
const known = new Map<string, AccountKeys>()

function makeAccountKeys(account: string): AccountKeys {
  if (!NAME.test(account)) throw new RangeError(`${JSON.stringify(account.slice(0, 140))} is not an account id`)
  const prefix = `tg:{${account}}:`
  const wallet = ['acct', 'grants', 'order', 'due', 'holds', 'ledger', 'budgets', 'events'].map((name) => prefix + name)
  const [first, grants, order, due, holds, ledger, budgets, events] = wallet as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  const others = { refusals: `${prefix}refusals`, grantKeys: `${prefix}gkeys`, refunds: `${prefix}refunds` }
  return { account: first, grants, order, due, holds, ledger, budgets, events, ...others, wallet, prefix }
}

/** The account that one of its keys names. */
export function accountOfKey(key: string): string {
  return key.slice(key.indexOf('{') + 1, key.indexOf('}'))
}

/** Ends of the calls whose ids fall in the same ten minutes. */
export function operationsKey(keys: AccountKeys, idMs: number): string {
  return `${keys.prefix}ops:${Math.floor(idMs / OPERATIONS_BUCKET_MS)}`
}

/** Refused holds whose ids fall in the same minute. */
export function denialsKey(keys: AccountKeys, idMs: number): string {
  return `${keys.prefix}den:${Math.floor(idMs / DENIALS_BUCKET_MS)}`
}

/** One operation of the admin API. A client's Idempotency-Key may be any text: hashed. */
export function operationKey(keys: AccountKeys, operationId: string): string {
  return `${keys.prefix}op:${hashOf(operationId)}`
}

/** What the admin API answered to it, where that is more than the operation's record has. */
export function answerKey(keys: AccountKeys, operationId: string): string {
  return `${keys.prefix}ans:${hashOf(operationId)}`
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
