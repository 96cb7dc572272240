/**
 * Accounts and virtual keys in Redis, beside those of the files. What creates, changes and takes away is a script, whole
 * or not at all, that tells every gateway; what lists is plain reads. Everything throws WalletUnavailable.
 */
import { fileURLToPath } from 'node:url'
import type { RedisClient } from '../redis/client.ts'
import { ACCOUNTS, accountsOperationKey, revokedKey } from '../redis/keys.ts'
import type { WalletOptions } from '../wallet/script-caller.ts'
import { createScriptCaller, type Reply, type ScriptCaller, statusOf } from '../wallet/script-caller.ts'
import {
  type AccountFields,
  type AccountRecord,
  accountOfKey,
  type KeyFields,
  type KeyRecord,
  readAccount,
  readKey,
  writeAccount,
  writeKey,
} from './records.ts'

/** One entry of the list; `record` undefined: what stands there cannot be read, or (`gone`) it was just taken away. */
export interface Listed<Record> {
  readonly id: string
  readonly record: Record | undefined
  readonly gone?: true
}

/** Of a key that was revoked: `record` undefined where what stood there cannot be read. */
export interface Revoked {
  readonly account: string
  readonly record: KeyRecord | undefined
}

/** What stands in Redis is no record of this version. The message names the place, and what to do; it is for an operator. */
export class UnreadableRecord extends Error {
  override readonly name = 'UnreadableRecord'

  constructor(what: 'account' | 'key', id: string, place: string, remedy: string) {
    super(
      `The record of the ${what} "${id}" cannot be read: another version of Tollgate, or another program, wrote what Redis has at ${place}. Calls by it are refused. Run the version that wrote it, or ${remedy}`,
    )
  }
}

/** Of a POST that may be sent again: the same id, the same fingerprint. */
export interface Repeatable {
  readonly operationId: string
  readonly fingerprint: string
}

const CREATED = ['replay', 'conflict', 'exists', 'created'] as const
const KEY_CREATED = ['replay', 'conflict', 'unknown_account', 'exists', 'revoked', 'created'] as const
const UPDATED = ['unknown_account', 'unknown_key', 'changed', 'done'] as const
const REVOKED = ['replay', 'unknown_key', 'done'] as const

/** Another's change comes between reading and writing; so often in a row only where something is wrong. */
const ROUNDS_MAX = 20

export class AccountStore {
  readonly #redis: Pick<RedisClient, 'call'>
  readonly #scripts: ScriptCaller

  constructor(redis: RedisClient, options: WalletOptions = {}) {
    this.#redis = redis
    this.#scripts = createScriptCaller(redis, { directory: SCRIPTS, ...options })
  }

  /** Whether a POST of this id has made something before. `conflict`: with other arguments. */
  async madeBefore({ operationId, fingerprint }: Repeatable): Promise<'replay' | 'conflict' | undefined> {
    const before = textOf(await this.#redis.call('GET', accountsOperationKey(operationId)))
    if (before === undefined) return undefined
    return before === fingerprint ? 'replay' : 'conflict'
  }

  async createAccount(id: string, fields: AccountFields, repeat: Repeatable | undefined) {
    const keys = [ACCOUNTS.records, ACCOUNTS.ids, operationOf(repeat)]
    const args = [id, writeAccount(fields), repeat?.fingerprint ?? '']
    return statusOf(await this.#scripts.call('account_create', keys, args), CREATED)
  }

  /** The record after the change; undefined: there is no such account. Throws UnreadableRecord. */
  updateAccount(id: string, change: (kept: AccountRecord) => AccountFields): Promise<AccountRecord | undefined> {
    return this.#change(
      () => this.readAccount(id),
      (kept) => {
        const text = writeAccount(change(kept))
        return [text, this.#scripts.call('account_update', [ACCOUNTS.records], [id, kept.text, text])]
      },
      readAccount,
    )
  }

  /** Throws UnreadableRecord. */
  async readAccount(id: string): Promise<AccountRecord | undefined> {
    const text = await this.accountText(id)
    return text === undefined ? undefined : (readAccount(text) ?? unreadableAccount(id))
  }

  /** As it stands there. */
  async accountText(id: string): Promise<string | undefined> {
    return textOf(await this.#redis.call('HGET', ACCOUNTS.records, id))
  }

  /** At most `limit` accounts whose ids come after that one. */
  async accountsAfter(after: string | undefined, limit: number): Promise<readonly Listed<AccountRecord>[]> {
    const ids = await this.#members(ACCOUNTS.ids, after === undefined ? '-' : `(${after}`, '+', limit)
    if (ids.length === 0) return []
    const texts = listOf(await this.#redis.call('HMGET', ACCOUNTS.records, ...ids))
    return ids.map((id, i) => listed(id, texts[i], readAccount))
  }

  /** Every account in no order, in pages of about 500; one that comes or goes meanwhile may be left out. */
  async *everyAccount(): AsyncGenerator<readonly Listed<AccountRecord>[]> {
    let cursor = '0'
    do {
      const reply = listOf(await this.#redis.call('HSCAN', ACCOUNTS.records, cursor, 'COUNT', 500))
      cursor = String(reply[0])
      const fields = listOf(reply[1])
      const page: Listed<AccountRecord>[] = []
      for (let i = 0; i + 1 < fields.length; i += 2) page.push(listed(String(fields[i]), fields[i + 1], readAccount))
      yield page
    } while (cursor !== '0')
  }

  async createKey(sha256: string, fields: KeyFields, accountInFiles: boolean, repeat: Repeatable | undefined) {
    const { id, account } = fields
    const keys = [
      ...[ACCOUNTS.records, ACCOUNTS.keys, ACCOUNTS.keyIds, ACCOUNTS.keyOrder],
      ...[revokedKey(id), operationOf(repeat)],
    ]
    const record = writeKey(fields).slice(account.length + 1)
    const args = [id, sha256, account, accountInFiles ? '1' : '0', record, repeat?.fingerprint ?? '']
    return statusOf(await this.#scripts.call('key_create', keys, args), KEY_CREATED)
  }

  /** The record after the change; undefined: there is no such key. Throws UnreadableRecord. */
  updateKey(id: string, change: (kept: KeyRecord) => KeyFields): Promise<KeyRecord | undefined> {
    let sha256 = ''
    return this.#change(
      async () => {
        const found = textOf(await this.#redis.call('HGET', ACCOUNTS.keyIds, id))
        if (found === undefined) return undefined
        sha256 = found
        const text = textOf(await this.#redis.call('HGET', ACCOUNTS.keys, sha256))
        return text === undefined ? undefined : (readKey(text) ?? unreadableKey(id, sha256))
      },
      (kept) => {
        const text = writeKey(change(kept))
        return [text, this.#scripts.call('key_update', [ACCOUNTS.keys], [sha256, kept.text, text])]
      },
      readKey,
    )
  }

  /**
   * Its last record; undefined: there is no such key. Of one that was revoked before, again for 35 days. Whatever its
   * record says: a key that cannot be read is taken away all the same.
   */
  async revokeKey(id: string): Promise<Revoked | undefined> {
    const keys = [ACCOUNTS.keys, ACCOUNTS.keyIds, ACCOUNTS.keyOrder, revokedKey(id)]
    const reply = await this.#scripts.call('key_revoke', keys, [id])
    if (statusOf(reply, REVOKED) === 'unknown_key') return undefined
    const text = String(reply[1])
    return { account: accountOfKey(text) ?? '', record: readKey(text) }
  }

  /** Throws UnreadableRecord. */
  async readKey(id: string): Promise<KeyRecord | undefined> {
    const sha256 = textOf(await this.#redis.call('HGET', ACCOUNTS.keyIds, id))
    if (sha256 === undefined) return undefined
    const text = textOf(await this.#redis.call('HGET', ACCOUNTS.keys, sha256))
    return text === undefined ? undefined : (readKey(text) ?? unreadableKey(id, sha256))
  }

  /** One round trip, of calls: the key and the account that it belongs to, as they stand there. */
  async findKey(sha256: string): Promise<{ readonly key: string; readonly account: string | undefined } | undefined> {
    const [key, account] = await this.#scripts.call('key_find', [ACCOUNTS.records, ACCOUNTS.keys], [sha256])
    return key === undefined ? undefined : { key, account: account === '' ? undefined : account }
  }

  /** At most `limit` keys by account and id, after `ACCOUNT KEY`; of one account, or of all. `id` is `ACCOUNT KEY`. */
  async keysAfter(
    account: string | undefined,
    after: string | undefined,
    limit: number,
  ): Promise<readonly Listed<KeyRecord>[]> {
    // "!" is the character after the blank, and in no name.
    const [from, to] = account === undefined ? ['-', '+'] : [`[${account} `, `(${account}!`]
    // A place before the account's own is one of another account.
    const first = after === undefined || (account !== undefined && after < `${account} `) ? from : `(${after}`
    const members = await this.#members(ACCOUNTS.keyOrder, first, to, limit)
    if (members.length === 0) return []
    const ids = members.map((member) => member.slice(member.indexOf(' ') + 1))
    const hashes = listOf(await this.#redis.call('HMGET', ACCOUNTS.keyIds, ...ids)).map((hash) => textOf(hash) ?? '')
    const texts = listOf(await this.#redis.call('HMGET', ACCOUNTS.keys, ...hashes))
    return members.map((member, i) => listed(member, texts[i], readKey))
  }

  async #members(key: string, from: string, to: string, limit: number): Promise<string[]> {
    return listOf(await this.#redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, limit)).map(String)
  }

  /** Reads, changes, and writes what nobody else has changed meanwhile. */
  async #change<Record extends { readonly text: string }>(
    read: () => Promise<Record | undefined>,
    write: (kept: Record) => readonly [text: string, Promise<Reply>],
    parse: (text: string) => Record | undefined,
  ): Promise<Record | undefined> {
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const kept = await read()
      if (kept === undefined) return undefined
      const [text, written] = write(kept)
      const status = statusOf(await written, UPDATED)
      if (status === 'done') return parse(text)
      if (status !== 'changed') return undefined
    }
    throw new Error(`a record changed ${ROUNDS_MAX} times while it was being changed`)
  }
}

const SCRIPTS = fileURLToPath(new URL('../../redis-scripts', import.meta.url))

/** One that cannot be sent again leaves nothing there. */
function operationOf(repeat: Repeatable | undefined): string {
  return accountsOperationKey(repeat?.operationId ?? '')
}

function listOf(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError('Redis answered something else than a list')
  return reply
}

function textOf(reply: unknown): string | undefined {
  return typeof reply === 'string' ? reply : undefined
}

function listed<Record>(id: string, text: unknown, read: (text: string) => Record | undefined): Listed<Record> {
  return typeof text === 'string' ? { id, record: read(text) } : { id, record: undefined, gone: true }
}

function unreadableAccount(id: string): never {
  const write = `HSET ${ACCOUNTS.records} ${id} '{"v":1,"plan":"PLAN","created_at":0}'`
  throw new UnreadableRecord('account', id, `${ACCOUNTS.records}, field ${id}`, `put a record there: ${write}`)
}

function unreadableKey(id: string, sha256: string): never {
  const remedy = `revoke the key (DELETE /admin/v1/keys/${id}) and make another.`
  throw new UnreadableRecord('key', id, `${ACCOUNTS.keys}, field ${sha256}`, remedy)
}
