/** What the admin API takes and answers: validates requests, and describes both in openapi.json. */
import { z } from 'zod'
import { NAME } from '../config/fields.ts'

const name = z.string().regex(NAME, 'letters, digits and . _ : @ / + - (at most 128)')
const pattern = z.string().regex(/^[A-Za-z0-9._:@/+*-]{1,128}$/, 'a name or a pattern with * (at most 128 characters)')
// Its form is checked with the unit's decimals by parseAmount, which also says what is wrong.
const amount = z
  .string({ error: 'write a decimal string like "10.50", in quotes' })
  .describe('Decimal string in the unit, such as "10.50"')
const unit = z.string().describe('ISO 4217 code or a name that the config knows')
const time = z.iso.datetime({ offset: true, error: 'write an RFC 3339 time like 2026-11-30T00:00:00Z' })
const reason = z.string().min(1).max(500)

const notYet = z.undefined({ error: 'not supported yet' }).optional()

export const FUNDINGS = ['promotional', 'invoiced', 'external'] as const

export const grantBody = z.strictObject({
  amount,
  unit,
  funding: z.enum(FUNDINGS, {
    error:
      'say how it is paid: promotional (given), invoiced (sold on an invoice of ours) or external (settled elsewhere)',
  }),
  key: name.nullish().describe('Unique for ever in the account: a second grant under it is not made'),
  priority: z.int().min(0).max(1000).default(10).describe('Lower is drawn first'),
  effective_at: time.nullish(),
  expires_at: time.nullish().describe('Exclusive; null: never'),
  applies_to: z
    .strictObject({
      models: z.array(pattern).max(32).optional(),
      upstreams: z.array(pattern).max(32).optional(),
      endpoints: z.array(pattern).max(32).optional(),
      labels: z.record(name, pattern).optional(),
    })
    .nullish(),
  cost_basis: z
    .string()
    .regex(/^(0|[1-9]\d{0,8})(\.\d{1,9})?$/, 'a decimal string like "0.80"')
    .nullish(),
  repays_debt: z.boolean().nullish(),
  labels: z.record(name, z.string().max(256)).default({}),
  payment: notYet,
  availability: notYet,
})
export type GrantBody = z.infer<typeof grantBody>

export const adjustBody = z.strictObject({ amount, unit, reason })
export const reasonBody = z.strictObject({ reason: reason.default('') })

export const configTexts = z.strictObject({
  tollgate: z.string().optional().describe('Text of tollgate.yaml; left out: the one in force'),
  entitlements: z.string().optional(),
  prices: z.string().optional(),
})

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'a whole number')
    .transform(Number)
    .pipe(z.int().min(least).max(most))

export const pageQuery = z.strictObject({
  after: z.string().max(256).optional().describe('`next` of the page before'),
  limit: whole(1, 1000).default(100),
})

export const LEDGER_TYPES = [
  ...['grant', 'allowance', 'payment', 'grant_void', 'clawback', 'adjust', 'expire', 'hold', 'checkpoint', 'settle'],
  ...[
    'void',
    'timeout',
    'late_settle',
    'unmatched',
    'refund',
    'overflow_close',
    'flagged_resolve',
    'freeze',
    'stop',
    'event',
  ],
] as const

export const ledgerQuery = z.strictObject({
  after: whole(0, Number.MAX_SAFE_INTEGER).default(0).describe('Sequence number; entries after it'),
  limit: whole(1, 1000).default(100),
  type: z.enum(LEDGER_TYPES).optional(),
})

const money = z.string().describe('Decimal string')
const instant = z.string().describe('RFC 3339, UTC, milliseconds')

export const balanceAnswer = z.strictObject({
  unit: z.string(),
  granted: money,
  posted: money,
  expired: money,
  balance: money,
  held: money,
  available: money,
  scoped: money,
  headroom: money.nullable().describe('What overage still allows; null: no limit'),
  pending: money,
  debt: money,
  overflow: money,
  overflow_periods: z.record(z.string(), money),
  flagged: money,
  postpaid: money,
  frozen: z.boolean(),
})

export const accountAnswer = z.strictObject({
  id: z.string(),
  plan: z.string().nullable().describe('null: taken out of the files; its wallet stays readable'),
  status: z.enum(['active', 'frozen']),
  labels: z.record(z.string(), z.string()),
  balances: z.array(balanceAnswer),
})

export const grantAnswer = z.strictObject({
  id: z.string(),
  account: z.string(),
  key: z.string().nullable(),
  unit: z.string(),
  amount: money,
  free: money,
  held: money,
  consumed: money,
  expired: money,
  voided: money,
  funding: z.enum(FUNDINGS),
  priority: z.int(),
  created_at: instant,
  effective_at: instant,
  expires_at: instant.nullable(),
  voided_at: instant.nullable(),
  applies_to: z
    .strictObject({
      models: z.array(z.string()).optional(),
      upstreams: z.array(z.string()).optional(),
      endpoints: z.array(z.string()).optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .nullable(),
  cost_basis: z.string().nullable(),
  repays_debt: z.boolean(),
  labels: z.record(z.string(), z.string()),
  seq: z.int(),
})

export const holdAnswer = z.strictObject({
  id: z.string(),
  account: z.string(),
  unit: z.string(),
  held: money,
  overage: money,
  floor: money,
  checkpoint: money,
  created_at: instant,
  deadline_at: instant,
  slices: z.array(z.strictObject({ grant: z.string(), amount: money })),
  key: z.string(),
  model: z.string(),
  upstream: z.string(),
  endpoint: z.string(),
  run: z.string().nullable(),
  user: z.string().nullable(),
})

/** Of every type; a settle has many fields more (see the description of the product). */
export const ledgerAnswer = z.looseObject({
  seq: z.int(),
  at: instant,
  type: z.string(),
  op: z.string(),
  actor: z.string(),
  legs: z.array(z.strictObject({ account: z.string(), amount: money, unit: z.string() })),
  balance_after: z.record(z.string(), money),
})

export const chargeAnswer = ledgerAnswer.extend({ id: z.string(), account: z.string() })

export const reloadAnswer = z.strictObject({
  result: z.enum(['applied', 'unchanged']),
  version: z.string(),
  notes: z.array(z.string()),
})

export const problemsAnswer = z.strictObject({
  valid: z.boolean(),
  problems: z.array(z.strictObject({ file: z.string(), line: z.int(), column: z.int(), message: z.string() })),
  warnings: z.array(z.string()),
})

export const configAnswer = z.looseObject({ version: z.string(), generation: z.int() })

export const errorAnswer = z.strictObject({
  error: z.strictObject({
    code: z.string(),
    message: z.string(),
    fields: z.array(z.strictObject({ field: z.string(), message: z.string() })),
  }),
})

export function pageOf(item: z.ZodType) {
  return z.strictObject({ items: z.array(item), next: z.string().nullable() })
}
