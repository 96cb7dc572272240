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
  /** Id of a directory of books -> the last entry in it and its hash; trimmed -> the last entry that left the ledger. */
  readonly exported: string
  /** How far each receiver of webhooks is with the account's events. No script needs it. */
  readonly webhooks: string
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
  const others = {
    refusals: `${prefix}refusals`,
    grantKeys: `${prefix}gkeys`,
    refunds: `${prefix}refunds`,
    exported: `${prefix}exported`,
    webhooks: `${prefix}webhooks`,
  }
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

/** No account id has a "#": nothing of an account can be taken for the list of accounts. One slot, so that a script can change all of it. */
const ACCOUNTS_PREFIX = 'tg:{#accounts}:'

/** Accounts and virtual keys that are kept in Redis beside those of the files. */
export const ACCOUNTS = {
  /** Hash: account id → record. */
  records: `${ACCOUNTS_PREFIX}records`,
  /** Sorted set, score 0: account ids, for pages in their order. */
  ids: `${ACCOUNTS_PREFIX}ids`,
  /** Hash: SHA-256 of a virtual key → `ACCOUNT record`. */
  keys: `${ACCOUNTS_PREFIX}keys`,
  /** Hash: id of a virtual key → its SHA-256. */
  keyIds: `${ACCOUNTS_PREFIX}key-ids`,
  /** Sorted set, score 0: `ACCOUNT KEY`. */
  keyOrder: `${ACCOUNTS_PREFIX}key-order`,
} as const

/** The record of a virtual key that was revoked, for a while. */
export function revokedKey(id: string): string {
  return `${ACCOUNTS_PREFIX}revoked:${id}`
}

/** The call that an Idempotency-Key of the admin API was first sent with. */
export function requestKey(idempotencyKey: string): string {
  return `tg:request:${hashOf(idempotencyKey)}`
}

/** One POST of an account or a key that may be sent again. */
export function accountsOperationKey(operationId: string): string {
  return `${ACCOUNTS_PREFIX}op:${hashOf(operationId)}`
}
