/** Virtual keys: those of the files are shown, those in Redis made, changed and revoked here. */
import { randomBytes } from 'node:crypto'
import type { Listed } from '../accounts/account-store.ts'
import { type KeyFields, type KeyRecord, writeKey } from '../accounts/records.ts'
import type { Snapshot, VirtualKey } from '../config/snapshot.ts'
import { type AdminError, unknown, wrongField } from './admin-error.ts'
import { repeatableBy, sha256Of } from './first-answers.ts'
import { conflict, otherArguments } from './kept-account-routes.ts'
import { checkLabels, checkOverrides, checkSize } from './kept-fields.ts'
import { keyAnswer, keyBody, keyPatch, keysQuery, madeKeyAnswer } from './kept-schemas.ts'
import { timeText } from './render-wallet.ts'
import { type AdminDependencies, type Route, route } from './route.ts'
import { pageOf } from './schemas.ts'

/** 256 random bits, in characters that every header carries. */
function makeKey(): string {
  return `tgk_${randomBytes(32).toString('base64url')}`
}

function keyJson(record: KeyFields, nowMs: number, revoked = false) {
  const expired = record.expiresAtMs !== undefined && record.expiresAtMs <= nowMs
  return {
    id: record.id,
    account: record.account,
    source: 'redis',
    status: revoked ? 'revoked' : expired ? 'expired' : 'active',
    labels: record.labels,
    plan_overrides: record.givenOverrides,
    acts_for: record.actsFor,
    created_at: timeText(record.createdAtMs),
    expires_at: record.expiresAtMs === undefined ? null : timeText(record.expiresAtMs),
  }
}

/** Undefined: it was just revoked. */
function listedJson({ id: place, record, gone }: Listed<KeyRecord>, nowMs: number) {
  if (record) return keyJson(record, nowMs)
  const [account = '', id = ''] = place.split(' ')
  return gone ? undefined : unreadableJson(account, id, 'unreadable')
}

function unreadableJson(account: string, id: string, status: 'unreadable' | 'revoked') {
  const nothing = { account, id, labels: {}, givenOverrides: {}, actsFor: [], createdAtMs: 0, expiresAtMs: undefined }
  return { ...keyJson(nothing, 0), status, created_at: null }
}

function fileKeyJson(key: VirtualKey) {
  return {
    id: key.id,
    account: key.account.id,
    source: 'files',
    status: 'active',
    labels: key.own?.labels ?? {},
    plan_overrides: key.own?.overrides ?? {},
    acts_for: key.actsFor ?? [],
    created_at: null,
    expires_at: null,
  }
}

/** Of the files: `ACCOUNT KEY` → key, in that order. Once for each config. */
const ordered = new WeakMap<Snapshot, readonly (readonly [string, VirtualKey])[]>()

function fileKeys(config: Snapshot): readonly (readonly [string, VirtualKey])[] {
  let keys = ordered.get(config)
  if (keys === undefined) {
    const named = [...config.keys.values()].map((key) => [`${key.account.id} ${key.id}`, key] as const)
    keys = named.sort(([a], [b]) => (a < b ? -1 : 1))
    ordered.set(config, keys)
  }
  return keys
}

const list = route({
  method: 'GET',
  path: '/keys',
  role: 'viewer',
  summary: 'Virtual keys of the files and of Redis, by account and id; never the keys themselves',
  query: keysQuery,
  answer: pageOf(keyAnswer),
  async handle({ admin, query, nowMs }) {
    const { account, after, limit } = query
    const kept = await admin.kept.keysAfter(account, after, limit + 1)
    const ofFiles = fileKeys(admin.store.current()).filter(
      ([place, key]) => (account === undefined || key.account.id === account) && (after === undefined || place > after),
    )
    const rows: (readonly [string, object | undefined])[] = [
      ...kept.map((listed) => [listed.id, listedJson(listed, nowMs)] as const),
      ...ofFiles.slice(0, limit + 1).map(([place, key]) => [place, fileKeyJson(key)] as const),
    ]
    const page = rows.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit)
    const items = page.flatMap(([, row]) => row ?? [])
    return { status: 200, body: { items, next: rows.length > limit ? (page.at(-1)?.[0] ?? null) : null } }
  },
})

function timeOf({ expires_at: text }: { readonly expires_at?: string | null | undefined }): number | undefined {
  return text === null || text === undefined ? undefined : Date.parse(text)
}

/** Throws 422 for what is no time to come. */
function checkExpiry(expiresAtMs: number | undefined, nowMs: number): void {
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs) throw wrongField('expires_at', 'is over; DELETE revokes a key')
}

/** What may be otherwise when the same is asked again. Throws 404, 409, 422. */
async function checkNew(admin: AdminDependencies, fields: KeyFields, nowMs: number): Promise<void> {
  const { id, account } = fields
  const config = admin.store.current()
  checkExpiry(fields.expiresAtMs, nowMs)
  checkOverrides(config, fields.givenOverrides, await unitOf(admin, account), true)
  checkSize(writeKey(fields))
  if (config.keys.values().some((key) => key.id === id && key.account.id === account))
    throw conflict(`The account "${account}" has a key "${id}" in entitlements.yaml.`)
}

/** The unit that a key's overrides are in where they name none. Throws 404 for an account that is not there. */
async function unitOf(admin: AdminDependencies, account: string): Promise<string> {
  const known = await admin.accounts.find(account)
  if (!known) throw unknown('account', account)
  const own = (known.overrides as { readonly unit?: string }).unit
  return known.plan?.unit ?? own ?? 'USD'
}

const create = route({
  method: 'POST',
  path: '/keys',
  role: 'operator',
  summary: 'Make a virtual key: 256 random bits, shown in this answer alone and kept as their SHA-256',
  body: keyBody,
  status: 201,
  answer: madeKeyAnswer,
  async handle({ admin, body, operationId, fingerprint, nowMs }) {
    const { account, id, acts_for: actsFor } = body
    const labels = checkLabels(body.labels)
    const givenOverrides = body.plan_overrides
    const fields = { id, account, labels, givenOverrides, actsFor, createdAtMs: nowMs, expiresAtMs: timeOf(body) }
    const repeat = repeatableBy(operationId, fingerprint)
    let status = repeat && (await admin.kept.madeBefore(repeat))
    let key: string | undefined
    if (status === undefined) {
      key = makeKey()
      await checkNew(admin, fields, nowMs)
      const inFiles = admin.store.current().accounts.has(account)
      const made = await admin.kept.createKey(sha256Of(key), fields, inFiles, repeat)
      if (made === 'unknown_account') throw unknown('account', account)
      if (made === 'exists') throw conflict(`There is a key "${id}" already; take another id.`)
      if (made === 'revoked') throw conflict(`A key "${id}" was revoked in the last 35 days; take another id.`)
      if (made !== 'created') status = made
    }
    if (status === 'conflict') throw otherArguments()
    const made = { ...keyJson(fields, nowMs), key: null }
    if (!repeat) return { status: 201, body: { ...made, key } }
    const first = JSON.parse(await admin.wallet.firstAnswer(account, repeat.operationId, JSON.stringify(made)))
    if (status === 'replay') return { status: 200, body: first }
    return { status: 201, body: { ...first, key }, repeat: first }
  },
})

const patch = route({
  method: 'PATCH',
  path: '/keys/:key',
  role: 'operator',
  summary: 'Change a key in Redis, each field as a whole',
  body: keyPatch,
  answer: keyAnswer,
  async handle({ admin, path, body, nowMs }) {
    const id = path['key'] ?? ''
    const kept = await admin.kept.readKey(id)
    if (kept === undefined) throw unknownKey(admin, id)
    const labels = body.labels && checkLabels(body.labels)
    const unit = body.plan_overrides && (await unitOf(admin, kept.account))
    if (unit !== undefined) checkOverrides(admin.store.current(), body.plan_overrides ?? {}, unit, true)
    const expiresAtMs = timeOf(body)
    checkExpiry(expiresAtMs, nowMs)
    const changed = await admin.kept.updateKey(id, (before): KeyFields => {
      const fields = {
        ...before,
        labels: labels ?? before.labels,
        givenOverrides: body.plan_overrides ?? before.givenOverrides,
        actsFor: body.acts_for ?? before.actsFor,
        expiresAtMs: body.expires_at === undefined ? before.expiresAtMs : expiresAtMs,
      }
      checkSize(writeKey(fields))
      return fields
    })
    if (changed === undefined) throw unknown('key', id)
    return { status: 200, body: keyJson(changed, nowMs) }
  },
})

const revoke = route({
  method: 'DELETE',
  path: '/keys/:key',
  role: 'operator',
  summary: 'Revoke a key in Redis: refused on every gateway at once; open calls end as they would',
  answer: keyAnswer,
  async handle({ admin, path, nowMs }) {
    const id = path['key'] ?? ''
    const revoked = await admin.kept.revokeKey(id)
    if (revoked === undefined) throw unknownKey(admin, id)
    const { record, account } = revoked
    return { status: 200, body: record ? keyJson(record, nowMs, true) : unreadableJson(account, id, 'revoked') }
  },
})

/** 404, or for a key of the files where it is changed. */
function unknownKey(admin: AdminDependencies, id: string): AdminError {
  const inFiles = admin.store
    .current()
    .keys.values()
    .some((key) => key.id === id)
  if (!inFiles) return unknown('key', id)
  return conflict(`The key "${id.slice(0, 128)}" is in entitlements.yaml: change it, or take it out, in the file.`)
}

export const KEY_ROUTES: readonly Route[] = [list, create, patch, revoke]
