/** Labels and overrides that come by the admin API, held to the rules of entitlements.yaml. */
import type * as z from 'zod'
import { checkAmounts, OF_THE_WALLET } from '../config/check-relations.ts'
import { labels as labelsSchema, planOverrides } from '../config/entitlements-schema.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { AdminError, type WrongField, wrongField } from './admin-error.ts'

const LABELS_MAX = 64
/** Of all that is kept of an account or a key. */
const RECORD_CHARACTERS_MAX = 16 * 1024

/** Throws 422 that names every wrong label. */
export function checkLabels(given: object): Readonly<Record<string, string>> {
  const count = Object.keys(given).length
  if (count > LABELS_MAX) throw wrongField('labels', `has ${count} labels; at most ${LABELS_MAX}`, 'out_of_range')
  const read = labelsSchema.safeParse(given)
  if (!read.success) refuse(wrongFields('labels', read.error.issues, given))
  return read.data
}

/** Throws 422 that names every wrong field. `unit`: of the plan that they are laid upon. `ofKey`: of a key. */
export function checkOverrides(config: Snapshot, given: object, unit: string, ofKey: boolean): object {
  const read = planOverrides.safeParse(given)
  if (!read.success) refuse(wrongFields('plan_overrides', read.error.issues, given))
  const found: WrongField[] = []
  for (const name of ofKey ? OF_THE_WALLET.filter((field) => field in given) : []) {
    const instead = name === 'allowance' ? ', and cap the key by a budget' : ''
    const message = `a wallet belongs to the account: write it in the account’s plan_overrides${instead}`
    found.push({ field: `plan_overrides.${name}`, message })
  }
  const file = {
    report: (path: readonly PropertyKey[], _at: 'key' | 'value', message: string) => {
      const field = path.map(String).join('.')
      found.push({ field, message: message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message })
    },
  }
  const units = Object.fromEntries([...config.settings.unitScales].map(([name, scale]) => [name, { scale }]))
  checkAmounts(file, { ...given }, (given as { unit?: unknown }).unit ?? unit, units, ['plan_overrides'])
  if (found.length > 0) refuse(found)
  return given
}

/** Throws 422. */
export function checkSize(text: string): void {
  if (text.length <= RECORD_CHARACTERS_MAX) return
  const message = `labels and overrides are kept as ${text.length} characters; at most ${RECORD_CHARACTERS_MAX}`
  throw wrongField('body', message, 'out_of_range')
}

function refuse(fields: readonly WrongField[]): never {
  throw new AdminError(422, 'invalid', fields.map(({ field, message }) => `${field}: ${message}`).join('; '), fields)
}

function wrongFields(at: string, issues: readonly z.core.$ZodIssue[], given: object): readonly WrongField[] {
  return issues.flatMap((issue) => {
    const path = [at, ...issue.path.map(String)]
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ field: [...path, key].join('.'), message: 'is no field here' }))
    return [{ field: path.join('.'), message: messageOf(issue, given) }]
  })
}

function messageOf(issue: z.core.$ZodIssue, given: object): string {
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? 'is no name'
  const value = shown(valueAt(given, issue.path))
  const quote = issue.code === 'custom' && issue.params?.['quote'] === true ? '; write it in quotes' : ''
  return issue.message.replace('%v', () => value) + quote
}

function valueAt(given: unknown, path: readonly PropertyKey[]): unknown {
  let value = given
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  return value
}

function shown(value: unknown): string {
  if (value === undefined || (typeof value === 'object' && value !== null)) return 'the value'
  const text = JSON.stringify(value)
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}
