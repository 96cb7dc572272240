/** What the admin API takes and answers of accounts and keys that are kept in Redis. */
import { z } from 'zod'
import { RESERVED } from './read-json-body.ts'
import { instant, name, pattern, time, whole } from './schemas.ts'

const keptName = name.refine((text) => text !== RESERVED, 'is a reserved word; take another name')
const keptLabels = z.record(z.string(), z.unknown()).describe('Names and values; as a whole in place of what was there')
const keptOverrides = z
  .record(z.string(), z.unknown())
  .describe('Fields of a plan as in entitlements.yaml; as a whole in place of what was there')

export const accountBody = z.strictObject({
  id: keptName,
  plan: keptName.describe('One of the files'),
  labels: keptLabels.default({}),
  plan_overrides: keptOverrides.default({}),
})
export const accountPatch = z.strictObject({
  id: keptName.optional().describe('As in the path, if given: an account keeps its id'),
  plan: keptName.optional(),
  labels: keptLabels.optional(),
  plan_overrides: keptOverrides.optional(),
  status: z.literal('active').optional().describe('Opens a closed account again'),
})
export const keyBody = z.strictObject({
  account: keptName,
  id: keptName.describe('Its name in the ledger, in metrics and in matches; no two keys in Redis have the same'),
  labels: keptLabels.default({}),
  plan_overrides: keptOverrides.default({}),
  acts_for: z.array(pattern).max(64).default([]).describe('Of a backend’s key: accounts that its calls may name'),
  expires_at: time.nullish().describe('Refused from then on; null: never'),
})
export const keyPatch = z.strictObject({
  labels: keptLabels.optional(),
  plan_overrides: keptOverrides.optional(),
  acts_for: z.array(pattern).max(64).optional(),
  expires_at: time.nullish(),
})

export const keysQuery = z.strictObject({
  account: name.optional().describe('Left out: of all accounts'),
  after: z.string().max(257).optional().describe('`next` of the page before'),
  limit: whole(1, 1000).default(100),
})

export const keyAnswer = z.strictObject({
  id: z.string(),
  account: z.string(),
  source: z.enum(['files', 'redis']),
  status: z.enum(['active', 'expired', 'revoked', 'unreadable']),
  labels: z.record(z.string(), z.string()).describe('Its own; the account’s are under them'),
  plan_overrides: z.record(z.string(), z.unknown()),
  acts_for: z.array(z.string()),
  created_at: instant.nullable().describe('null: it is one of the files'),
  expires_at: instant.nullable(),
})
export const madeKeyAnswer = keyAnswer.extend({
  key: z.string().nullable().describe('The key itself: shown this once, kept as its SHA-256. null: a repeat'),
})
