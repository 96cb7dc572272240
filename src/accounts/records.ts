/** How accounts and virtual keys stand in Redis: versioned JSON, checked by the schemas of entitlements.yaml. */
import * as z from 'zod'
import { labels, type PlanOverrides, planOverrides } from '../config/entitlements-schema.ts'
import { glob } from '../config/fields.ts'
import { NAME } from '../core/name-or-hash.ts'

type Labels = Readonly<Record<string, string>>

export interface AccountRecord {
  readonly plan: string
  readonly labels: Labels
  /** As they were given, for whoever reads them. */
  readonly givenOverrides: object
  readonly overrides: PlanOverrides
  readonly createdAtMs: number
  /** Its keys are refused since. */
  readonly closedAtMs: number | undefined
  /** As it stands in Redis. */
  readonly text: string
}

export interface KeyRecord {
  readonly id: string
  readonly account: string
  readonly labels: Labels
  readonly givenOverrides: object
  readonly overrides: PlanOverrides
  readonly actsFor: readonly string[]
  readonly createdAtMs: number
  /** Refused from then on. */
  readonly expiresAtMs: number | undefined
  readonly text: string
}

export type AccountFields = Omit<AccountRecord, 'text' | 'overrides'>
export type KeyFields = Omit<KeyRecord, 'text' | 'overrides'>

const VERSION = 1

const common = {
  v: z.literal(VERSION),
  labels: labels.prefault({}),
  plan_overrides: planOverrides.prefault({}),
  created_at: z.int(),
}
const accountForm = z.strictObject({ ...common, plan: z.string(), closed_at: z.int().optional() })
const keyForm = z.strictObject({
  ...common,
  id: z.string(),
  acts_for: z.array(glob()).prefault([]),
  expires_at: z.int().optional(),
})

/** What is left out has its default when it is read: a record of most accounts is some 60 characters. */
function writeCommon(fields: AccountFields | KeyFields): object {
  return {
    v: VERSION,
    ...(isEmpty(fields.labels) ? {} : { labels: fields.labels }),
    ...(isEmpty(fields.givenOverrides) ? {} : { plan_overrides: fields.givenOverrides }),
    created_at: fields.createdAtMs,
  }
}

function isEmpty(fields: object): boolean {
  return Object.keys(fields).length === 0
}

export function writeAccount(fields: AccountFields): string {
  const { plan, closedAtMs } = fields
  return JSON.stringify({ ...writeCommon(fields), plan, closed_at: closedAtMs })
}

/** Undefined for what no gateway of this version has written. */
export function readAccount(text: string): AccountRecord | undefined {
  const json = parseJson(text)
  const read = accountForm.safeParse(json)
  if (!read.success) return undefined
  const { data } = read
  return {
    plan: data.plan,
    labels: data.labels,
    givenOverrides: givenOverrides(json),
    overrides: data.plan_overrides,
    createdAtMs: data.created_at,
    closedAtMs: data.closed_at,
    text,
  }
}

export function writeKey(fields: KeyFields): string {
  const { id, account, actsFor, expiresAtMs } = fields
  const acts_for = actsFor.length === 0 ? undefined : actsFor
  return `${account} ${JSON.stringify({ ...writeCommon(fields), id, acts_for, expires_at: expiresAtMs })}`
}

/** What stands before the record of a key; undefined where that is no account. */
export function accountOfKey(text: string): string | undefined {
  const account = text.slice(0, Math.max(0, text.indexOf(' ')))
  return NAME.test(account) ? account : undefined
}

/** Undefined for what no gateway of this version has written. */
export function readKey(text: string): KeyRecord | undefined {
  const account = accountOfKey(text)
  if (account === undefined) return undefined
  const json = parseJson(text.slice(account.length + 1))
  const read = keyForm.safeParse(json)
  if (!read.success) return undefined
  const { data } = read
  return {
    id: data.id,
    account,
    labels: data.labels,
    givenOverrides: givenOverrides(json),
    overrides: data.plan_overrides,
    actsFor: data.acts_for,
    createdAtMs: data.created_at,
    expiresAtMs: data.expires_at,
    text,
  }
}

function givenOverrides(json: unknown): object {
  return (json as { readonly plan_overrides?: object }).plan_overrides ?? {}
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
