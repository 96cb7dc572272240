/** config/entitlements.yaml: the one source of its checks, its defaults and its JSON Schema. */
import * as z from 'zod'
import { alert, autoTopUp } from './alerts-schema.ts'
import { allowance } from './allowance-schema.ts'
import { budget, rate } from './budget-schema.ts'
import { METERED_ENDPOINTS } from './endpoints.ts'
import {
  decimal,
  decimalUpToZero,
  FieldError,
  factor,
  field,
  flag,
  glob,
  httpUrl,
  integer,
  NAME,
  name,
  named,
  oneOf,
  sha256,
  timezone,
  unitName,
} from './fields.ts'
import { webhooks } from './webhook-schema.ts'

const onExhausted = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('block') }),
  z.strictObject({
    mode: z.literal('negative'),
    floor: decimalUpToZero().describe('how far debt may go, at or below zero, in the plan’s unit'),
  }),
  z.strictObject({
    mode: z.literal('overflow'),
    cap: decimal().describe('most overflow in a period, in the plan’s unit'),
    period: oneOf(['day', 'week', 'month', 'quarter', 'year']).describe('of the invoice').prefault('month'),
    multiplier: factor().describe('price of overflow ÷ price').prefault('1'),
  }),
  z.strictObject({ mode: z.literal('flag') }),
  z.strictObject({ mode: z.literal('postpaid') }),
])

/** Names that budgets and prices match by themselves: a label of that name could never be matched. */
export const MATCH_FIELDS = ['account', 'plan', 'key', 'run', 'user', 'model', 'upstream', 'endpoint'] as const

const labelName = z
  .string()
  .regex(NAME, 'is no label name; use letters, digits and . _ : @ / + - (at most 128)')
  .refine((label) => !MATCH_FIELDS.includes(label as never), 'is a word of `match` itself; give the label another name')

export const labels = z
  .record(labelName, name('label value'))
  .describe('names and values that budgets and prices match by')

const required = field({ type: 'string' }, (value) => {
  if (typeof value !== 'string' || !NAME.test(value)) throw new FieldError('%v is not run, user or the name of a label')
  return value
})

/** The fields of a plan without their defaults: what an override may replace, each whole. */
const planFields = {
  unit: unitName().describe('unit that its calls are charged in'),
  timezone: timezone().describe('of allowances and overflow periods'),
  on_exhausted: onExhausted.describe('what happens to a call that the grants do not cover'),
  enforcement: oneOf(['enforce', 'observe']).describe(
    'observe: decide and record everything, refuse and change nothing',
  ),
  models: z.array(glob()).describe('models it may use, as globs'),
  endpoints: z
    .array(oneOf(METERED_ENDPOINTS))
    .describe('endpoints it may use; left out: all; free ones are always allowed'),
  max_cost_per_call: decimal().describe('most a call may cost, in the plan’s unit; left out: no limit'),
  max_output_tokens: integer(1, 100_000_000).describe(
    'written into calls that name no limit or a higher one; left out: none',
  ),
  trim: z
    .strictObject({
      enabled: flag().describe('lower a call’s output limit to what the money covers').prefault(true),
      min_output_tokens: integer(1, 100_000_000)
        .describe('never below this many; what does not fit is refused')
        .prefault(256),
      min_reasoning_tokens: integer(1, 100_000_000)
        .describe('the same where a model may reason without a stated budget')
        .prefault(4096),
      structured: flag().describe('trim calls with a strict JSON schema').prefault(false),
      tools: flag().describe('trim calls with tools').prefault(true),
    })
    .describe('when calls are trimmed to fit'),
  streaming: z
    .strictObject({
      slice_tokens: integer(1, 100_000_000).describe('output tokens held at a time'),
      on_cut: oneOf(['finish', 'error']).describe('how a stream ends whose money has ended').prefault('finish'),
    })
    .describe('hold streams slice by slice; left out: the whole ceiling is held'),
  require: z.array(required).describe('run, user or labels that a call must carry'),
  top_up_url: httpUrl(false).describe('named in refusals for money'),
  hold: z
    .strictObject({
      input: oneOf(['worst', 'recent'])
        .describe('recent: what the last call of the run had cached is held at the cached rate')
        .prefault('worst'),
      output: oneOf(['ceiling', 'p99'])
        .describe('p99: what 99 of 100 such calls stay within is held, and what goes beyond is asked for on the way')
        .prefault('ceiling'),
      tokenizer: oneOf(['high', 'estimate', 'exact'])
        .describe(
          'how text is counted: by a safe count alone, by what was learnt of it (at most 1 call in 100 comes to more), or exact by the tokenizer of OpenAI’s models, others by estimate',
        )
        .prefault('estimate'),
    })
    .describe('how much of a call is held'),
  allowance: allowance.describe('credit granted each period; left out: none'),
  alerts: z
    .array(alert)
    .describe(
      'what raises an event of the wallet, each one of: at (a share of the most it held since funds came in), below (a balance in the plan’s unit), hours_left (by what this hour and the last one took), expires_in (how long before its end a grant is told to expire; without one 3d); left out: none',
    ),
  auto_top_up: autoTopUp.describe('asks for more credit by an event; left out: never'),
  max_cost_per_batch: decimal().describe('most a batch may cost, in the plan’s unit; left out: no limit'),
  batch_output_tokens: integer(1, 100_000_000).describe('output tokens held for a line of a batch that names no limit'),
}

export const planOverrides = z
  .strictObject(planFields)
  .partial()
  .describe('any fields of a plan; each replaces the plan’s whole')

const plan = z
  .strictObject(planFields)
  .partial()
  .extend({
    unit: planFields.unit.prefault('USD'),
    timezone: planFields.timezone.prefault('UTC'),
    on_exhausted: planFields.on_exhausted.prefault({ mode: 'block' }),
    enforcement: planFields.enforcement.prefault('enforce'),
    models: planFields.models.prefault(['*']),
    trim: planFields.trim.prefault({}),
    hold: planFields.hold.prefault({}),
    require: planFields.require.prefault([]),
    batch_output_tokens: planFields.batch_output_tokens.prefault(1024),
  })

const key = z.strictObject({
  id: name('key id').describe('name of the key in the ledger, in metrics and in matches'),
  sha256: sha256().describe('SHA-256 of the key, in hex'),
  labels: labels.prefault({}),
  plan_overrides: planOverrides.prefault({}),
  acts_for: z
    .array(glob())
    .describe('of a backend’s key: accounts that its calls may name in x-tollgate-account, as globs')
    .prefault([]),
})

const account = z.strictObject({
  plan: name('plan').describe('its plan'),
  labels: labels.prefault({}),
  keys: z.array(key).describe('virtual keys, by their SHA-256').prefault([]),
  plan_overrides: planOverrides.prefault({}),
})

export const entitlementsSchema = z
  .strictObject({
    version: integer(1, 1).describe('version of this file’s form').prefault(1),
    plans: named('plan name', plan).describe('what accounts may do').prefault({}),
    defaults: z
      .strictObject({
        plan: name('plan').describe('plan of an account known only by a JWT; left out: refused').optional(),
      })
      .describe('for callers that no file names')
      .prefault({}),
    accounts: named('account name', account).describe('customers').prefault({}),
    budgets: z.array(budget).describe('caps on what calls use; each counter lives inside one account').prefault([]),
    rates: z.array(rate).describe('declared rates between units; the latest that began counts').prefault([]),
    webhooks: webhooks.describe('receivers of events').prefault([]),
  })
  .meta({ title: 'entitlements.yaml', description: 'Plans, accounts and keys; in force at once when saved.' })

export type EntitlementsFile = z.output<typeof entitlementsSchema>
export type PlanFields = z.output<typeof plan>
export type PlanOverrides = z.output<typeof planOverrides>
