/** What the admin API takes and answers: validates requests, and describes both in openapi.json. */
import { z } from 'zod'
import { NAME } from '../config/fields.ts'

export const name = z.string().regex(NAME, 'letters, digits and . _ : @ / + - (at most 128)')
export const pattern = z
  .string()
  .regex(/^[A-Za-z0-9._:@/+*-]{1,128}$/, 'a name or a pattern with * (at most 128 characters)')
// Its form is checked with the unit's decimals by parseAmount, which also says what is wrong.
const amount = z
  .string({ error: 'write a decimal string like "10.50", in quotes' })
  .describe('Decimal string in the unit, such as "10.50"')
const unit = z.string().describe('ISO 4217 code or a name that the config knows')
export const time = z.iso.datetime({ offset: true, error: 'write an RFC 3339 time like 2026-11-30T00:00:00Z' })
const reason = z.string().min(1).max(500)

const AVAILABILITIES = ['on_creation', 'on_authorized', 'on_settled'] as const

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
  payment: z
    .enum(['none', 'pending', 'authorized', 'settled'])
    .optional()
    .describe('How far it is paid; left out: pending where availability waits for it, else none'),
  availability: z
    .enum(AVAILABILITIES)
    .default('on_creation')
    .describe('When it can be used: at once, or when its payment is authorized or settled'),
})
export type GrantBody = z.infer<typeof grantBody>

export const adjustBody = z.strictObject({ amount, unit, reason })
export const reasonBody = z.strictObject({ reason: reason.default('') })

export const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'a whole number')
    .transform(Number)
    .pipe(z.int().min(least).max(most))

const someAmount = amount.optional().describe('Decimal string; left out: all of it')

export const clawbackBody = z.strictObject({
  amount: someAmount,
  freeze: z.boolean().default(false).describe('Refuse new calls of the account too'),
  reason: reason.default(''),
})
export const paymentBody = z.strictObject({
  state: z.enum(['authorized', 'settled', 'failed']),
  reason: reason.default(''),
})
export const refundBody = z.strictObject({
  amount: someAmount,
  mode: z
    .enum(['original', 'new_grant'])
    .default('original')
    .describe('original: into the grants it came from; new_grant: a fresh promotional grant'),
  reason,
})
export const resolveBody = z.strictObject({
  unit,
  amount: someAmount,
  to: z.enum(['debt', 'overflow', 'written_off']),
  reason: reason.default(''),
})
export const resolveManyBody = resolveBody.extend({
  where: z
    .strictObject({ plan: name.optional(), label: z.record(name, z.string()).optional() })
    .describe('Accounts of a plan, or with all of these labels'),
})
export const closeBody = z.strictObject({
  unit: unit.optional().describe('Left out: that of the plan'),
  force: z.boolean().default(false).describe('Although open calls pin it'),
  reason: reason.default(''),
})
export const resolveUnmatchedBody = z.strictObject({
  decision: z.enum(['charge', 'dismiss'], { error: 'choose charge or dismiss' }),
  reason,
})
export const stopBody = z
  .strictObject({
    run: z.string().min(1).max(256).optional(),
    user: z.string().min(1).max(256).optional(),
    key: name.optional(),
    request_id: z.string().min(1).max(64).optional(),
    cut: z.boolean().default(false).describe('End its open calls too, on every gateway'),
    reason,
  })
  .refine(
    (body) => [body.run, body.user, body.key, body.request_id].filter((value) => value !== undefined).length === 1,
    'name one of run, user, key, request_id',
  )

export const stopAnswer = z.strictObject({
  id: z.string(),
  run: z.string().optional(),
  user: z.string().optional(),
  key: z.string().optional(),
  request_id: z.string().optional(),
  cut: z.boolean(),
  reason: z.string(),
  at: z.string(),
  actor: z.string(),
})

export const refundAnswer = z.strictObject({
  charge: z.string(),
  unit: z.string(),
  refunded: z.string().describe('In all'),
  charged: z.string(),
})

export const periodAnswer = z.strictObject({
  period: z.string(),
  unit: z.string(),
  state: z.enum(['open', 'closed']),
  amount: z.string(),
  closed_at: z.string().nullable(),
  lines: z.array(
    z.strictObject({ charge: z.string(), at: z.string(), amount: z.string(), model: z.string().nullable() }),
  ),
})

export const budgetAnswer = z.strictObject({
  name: z.string(),
  account: z.string(),
  values: z.record(z.string(), z.string()),
  unit: z.string(),
  limit: z.string().nullable().describe('null: no budget of the files has this counter any more'),
  spent: z.string(),
  held: z.string(),
  window: z.string().describe('As the config writes it: day, 5m, lifetime'),
  timezone: z.string().nullable().describe('Of a calendar window'),
  starts_at: z.string().nullable(),
  resets_at: z.string().nullable(),
})

export const budgetQuery = z.strictObject({
  account: name,
  after: z.string().max(64).optional().describe('`next` of the page before'),
  limit: whole(1, 1000).default(100),
})

export const configTexts = z.strictObject({
  tollgate: z.string().optional().describe('Text of tollgate.yaml; left out: the one in force'),
  entitlements: z.string().optional(),
  prices: z.string().optional(),
})

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
export const instant = z.string().describe('RFC 3339, UTC, milliseconds')

/** A span of time that a report is about. */
const span = {
  since: time.optional().describe('Inclusive; left out: from the beginning'),
  until: time.optional().describe('Exclusive; left out: up to now'),
}

export const unmatchedQuery = z.strictObject({
  after: whole(0, Number.MAX_SAFE_INTEGER).default(0).describe('Sequence number; entries after it'),
  limit: whole(1, 1000).default(100),
})

export const unmatchedAnswer = z.strictObject({
  seq: z.int(),
  at: instant.describe('When the settlement came'),
  account: z.string(),
  request_id: z.string(),
  unit: z.string(),
  final: money.describe('What the call came to, at price'),
  charged_before: money.describe('By the timeout of the call, at price'),
  would_charge: money.describe('What charge would charge, at price; an overflow multiplier comes on top'),
  on_exhausted: z.string().describe('Where what no grant covers would go; beyond its limit, and under block, to debt'),
  key: z.string().nullable(),
  run: z.string().nullable(),
  user: z.string().nullable(),
  upstream: z.string().nullable(),
  model: z.string().nullable(),
  endpoint: z.string().nullable(),
  tokens: z.record(z.string(), z.int()),
  usage_source: z.string().nullable(),
  cost: money.nullable(),
  cost_unit: z.string().nullable(),
})

export const resolvedAnswer = z.strictObject({
  account: z.string(),
  unmatched: z.int(),
  decision: z.enum(['charge', 'dismiss']),
  unit: z.string(),
  charged: money,
  charge: z.string().nullable().describe('Id of the charge'),
})

export const usageQuery = z.strictObject({
  by: z
    .string()
    .max(1200)
    .default('')
    .describe(
      'account, key, user, run, model, upstream, endpoint, funding, day, month or a label, by commas; at most 8',
    ),
  ...span,
  account: name.optional().describe('Left out: all accounts'),
  timezone: z.string().max(64).default('UTC').describe('Of day and month'),
})

const usageFigures = {
  unit: z.string(),
  calls: z.int().describe('Charged: settled, or timed out'),
  estimates: z.int(),
  timeouts: z.int(),
  late_settles: z.int().describe('After a timeout, which was the call'),
  tokens: z.record(z.string(), z.int()).describe('By kind; reasoning is a part of output'),
  units: z.record(z.string(), money).describe('Counted things by kind'),
  charged: money.describe('promotional + paid + overage'),
  promotional: money,
  paid: money,
  overage: money,
  refunded: money.describe('Of refunds made in this time, whenever the charge was'),
  net: money.describe('charged - refunded'),
  cost: z.record(z.string(), money).describe("The providers' price, by its unit"),
  without_cost: z.int().describe('Charges that do not say what they cost'),
  margin: money.nullable().describe('net - cost; null: not in one unit, or not known'),
}

export const usageAnswer = z.strictObject({
  by: z.array(z.string()),
  since: instant.nullable(),
  until: instant.nullable(),
  timezone: z.string(),
  items: z.array(z.strictObject({ group: z.record(z.string(), z.string().nullable()), ...usageFigures })),
  totals: z.array(z.strictObject(usageFigures)).describe('One for each unit'),
  next: z.null(),
})

export const reportQuery = z.strictObject({ ...span, account: name.optional().describe('Left out: all accounts') })

const controlAnswer = z.strictObject({
  control: z.string(),
  verdict: z.enum(['ok', 'look']),
  says: z.string(),
  numbers: z.record(
    z.string(),
    z.union([z.number(), z.string(), z.null(), z.record(z.string(), z.union([z.number(), z.string()]))]),
  ),
})

export const controlsAnswer = z.strictObject({
  since: instant.nullable(),
  until: instant.nullable(),
  verdict: z.enum(['ok', 'look']),
  total: z.array(controlAnswer),
  items: z.array(z.strictObject({ account: z.string(), controls: z.array(controlAnswer) })),
  next: z.null(),
})

export const shadowAnswer = z.strictObject({
  since: instant.nullable(),
  until: instant.nullable(),
  items: z.array(
    z.strictObject({
      account: z.string(),
      code: z.string(),
      rule: z.string().nullable(),
      calls: z.int(),
      unit: z.string(),
      charged: money.describe('What these calls were charged'),
      flagged: money.describe('Of it what no grant covered'),
    }),
  ),
  next: z.null(),
})

const balanceAnswer = z.strictObject({
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
  status: z.enum(['active', 'frozen', 'closed']).describe('closed: its keys are refused'),
  source: z.enum(['files', 'redis']).nullable().describe('Where it is kept; null: only its wallet is left'),
  problem: z
    .enum(['plan_missing', 'plan_overrides', 'unreadable', 'shadowed'])
    .nullable()
    .describe(
      'Why its calls are refused: its plan is not in the files any more, an amount of its overrides does not fit the unit, its record cannot be read. shadowed: Redis has the id too, and the files count',
    ),
  labels: z.record(z.string(), z.string()),
  plan_overrides: z.record(z.string(), z.unknown()),
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
  payment: z.enum(['none', 'pending', 'authorized', 'settled', 'failed']),
  availability: z.enum(AVAILABILITIES),
  state: z.enum(['pending', 'usable', 'expired', 'voided', 'clawed_back']),
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

export const doctorQuery = z.strictObject({
  after: z.string().max(256).optional().describe('`next` of the page before'),
  limit: whole(1, 100).default(20),
})

export const doctorAnswer = z.strictObject({
  account: z.string(),
  seq: z.int().describe('The state is compared as it was right after this entry of the ledger; 0: there is none'),
  differences: z.array(z.strictObject({ field: z.string(), kept: z.string(), ledger: z.string() })),
  not_checked: z.array(z.string()).describe('What the ledger cannot say'),
})

const differencesAnswer = z.array(z.strictObject({ field: z.string(), kept: z.string(), ledger: z.string() }))

export const repairBody = z.strictObject({
  dry_run: z.boolean().default(false).describe('Say what would be repaired, and change nothing'),
  freeze: z.boolean().default(false).describe('Freeze the account first; it stays frozen'),
  reason: reason.default(''),
})

export const repairAnswer = z.strictObject({
  account: z.string(),
  status: z
    .enum(['whole', 'repaired', 'would_repair', 'refused', 'moving'])
    .describe('refused: the ledger does not prove all of it, nothing was changed; moving: calls kept changing it'),
  seq: z.int().describe('Of the ledger entry that says what was repaired; else of the last entry'),
  repaired: differencesAnswer,
  unproven: differencesAnswer.describe('What the ledger does not say'),
})

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

export const booksQuery = z.strictObject({
  ...pageQuery.shape,
  account: z.string().max(256).optional().describe('Left out: all'),
})
export const booksHeadAnswer = z.strictObject({
  account: z.string(),
  books: z.string().describe('Id of the directory, as its books.json has it'),
  seq: z.int().describe('Of the last entry that is on disk'),
  hash: z.string().describe('Of its line'),
})

export const configAnswer = z.looseObject({ version: z.string(), generation: z.int() })

export const webhookAnswer = z.strictObject({
  url: z.string().describe('Without its query'),
  events: z.array(z.string()),
  accounts: z.array(z.string()),
  state: z
    .enum(['ok', 'failing', 'gone'])
    .describe('gone: it answered 410 and is asked no more until its config changes'),
  last_success_at: z.string().nullable(),
  failing_since: z.string().nullable(),
  error: z.string().nullable().describe('A status, or the code of an error'),
  pending: z.int().describe('Accounts whose events it does not have yet'),
  oldest_at: z.string().nullable().describe('Since when the oldest of them waits'),
})
export const webhookTestBody = z.strictObject({ url: z.string().max(4096).optional().describe('Left out: all') })
export const webhookTestsAnswer = z.strictObject({
  items: z.array(
    z.strictObject({
      url: z.string(),
      delivered: z.boolean(),
      status: z.int().nullable(),
      error: z.string().nullable(),
      duration_ms: z.int(),
    }),
  ),
})

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
