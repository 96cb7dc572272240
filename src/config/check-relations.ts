/**
 * What one schema cannot see: names that must exist elsewhere, values that must differ, amounts in the unit of their
 * plan. Works on the values as read, so that these problems are told beside the schema's; what the schema refuses is
 * passed over here.
 */
import { AmountError, DEFAULT_SCALE, parseAmount } from '../core/money.ts'
import { checkAlerts, checkTopUp } from './alerts-schema.ts'
import { checkAllowance } from './allowance-schema.ts'
import { shorten, shownField } from './describe-issues.ts'
import { checkIssuers } from './jwt-schema.ts'
import { isLoopback } from './loopback.ts'
import { type Fields, listOf, mapOf } from './raw-fields.ts'
import type { Path, YamlFile } from './read-yaml.ts'
import { remedy } from './suggest.ts'

/** Two or three words without a colon in them; proxy/credentials/aws-keys.ts takes them apart. */
const AWS_KEYS = /^[^:\s]+:[^:\s]+(:[^:\s]+)?$/

/** `value` is that of the file with its defaults from the environment. */
export function checkTollgate(file: YamlFile, value: unknown): void {
  const admin = mapOf(mapOf(value)['admin'])
  const host = admin['host']
  if (typeof host === 'string' && !isLoopback(host)) {
    const needs = [
      listOf(admin['tokens']).length === 0 ? 'tokens' : '',
      admin['insecure'] === true || admin['insecure'] === 'true' ? '' : 'insecure: true (TLS is not there yet)',
    ].filter((need) => need !== '')
    if (needs.length > 0) {
      file.report(
        ['admin', 'host'],
        'value',
        `admin.host: "${shorten(host)}" is reachable from outside; that needs ${needs.join(' and ')}`,
      )
    }
  }
  for (const [name, upstream] of Object.entries(mapOf(mapOf(value)['upstreams']))) {
    const { api_key: key, auth } = mapOf(upstream)
    if (mapOf(auth)['sigv4'] === undefined || typeof key !== 'string' || key === '' || AWS_KEYS.test(key)) continue
    file.report(
      ['upstreams', name, 'api_key'],
      'value',
      `upstreams.${shorten(name)}.api_key: is no pair of AWS keys; write ACCESS_KEY_ID:SECRET_ACCESS_KEY (and :SESSION_TOKEN), or leave it out for AWS’s own chain of providers`,
    )
  }
  checkIssuers(file, value)
  const names = new Distinct(file, 'token')
  const hashes = new Distinct(file, 'token with this sha256')
  listOf(admin['tokens']).forEach((token, i) => {
    names.add(mapOf(token)['name'], ['admin', 'tokens', i, 'name'], true)
    hashes.add(lower(mapOf(token)['sha256']), ['admin', 'tokens', i, 'sha256'], false)
  })
}

/** A hold that times out between two signs of life would end open calls. */
export function checkLimits(file: YamlFile, limits: { hold_deadline: number; checkpoint_every: number }): void {
  if (limits.hold_deadline > limits.checkpoint_every) return
  const every = `checkpoint_every (${limits.checkpoint_every / 1000}s)`
  const message = `limits.hold_deadline: has to be longer than ${every}, or open calls time out`
  file.report(['limits', 'hold_deadline'], 'value', message)
}

/** Fields of a plan that are about the wallet, which no key has to itself. */
export const OF_THE_WALLET = ['allowance', 'alerts', 'auto_top_up']

/** Plans that exist, keys that differ, amounts that their unit can hold. */
export function checkEntitlements(file: YamlFile, tollgate: unknown): void {
  const plans = mapOf(mapOf(file.value)['plans'])
  const units = mapOf(mapOf(tollgate)['units'])
  const amounts = (fields: unknown, unit: unknown, path: Path) => checkAmounts(file, mapOf(fields), unit, units, path)
  for (const [name, plan] of Object.entries(plans)) amounts(plan, mapOf(plan)['unit'] ?? 'USD', ['plans', name])

  const fallback = mapOf(mapOf(file.value)['defaults'])['plan']
  if (typeof fallback === 'string' && !Object.hasOwn(plans, fallback)) {
    const hint = remedy(fallback, Object.keys(plans), 'plans')
    file.report(['defaults', 'plan'], 'value', `defaults.plan: unknown plan "${shorten(fallback)}"${hint}`)
  }
  checkBudgets(file, plans)
  checkReceivers(file)
  const hashes = new Distinct(file, 'key with this sha256')
  for (const [id, value] of Object.entries(mapOf(mapOf(file.value)['accounts']))) {
    const account = mapOf(value)
    const plan = account['plan']
    if (typeof plan === 'string' && plan !== '' && !Object.hasOwn(plans, plan)) {
      const hint = remedy(plan, Object.keys(plans), 'plans')
      file.report(
        ['accounts', id, 'plan'],
        'value',
        `accounts.${shorten(id)}.plan: unknown plan "${shorten(plan)}"${hint}`,
      )
    }
    const own = mapOf(account['plan_overrides'])
    const unit = own['unit'] ?? mapOf(plans[String(plan)])['unit'] ?? 'USD'
    amounts(own, unit, ['accounts', id, 'plan_overrides'])
    const ids = new Distinct(file, 'key')
    listOf(account['keys']).forEach((item, i) => {
      const key = mapOf(item)
      const path = ['accounts', id, 'keys', i]
      ids.add(key['id'], [...path, 'id'], true)
      hashes.add(lower(key['sha256']), [...path, 'sha256'], false)
      const overrides = mapOf(key['plan_overrides'])
      for (const name of OF_THE_WALLET) {
        if (overrides[name] === undefined) continue
        const field = [...path, 'plan_overrides', name]
        file.report(
          field,
          'key',
          `${shownField(field)}: a wallet belongs to the account; write it in the account’s plan_overrides${name === 'allowance' ? ', and cap the key by a budget' : ''}`,
        )
      }
      const rest = { ...overrides, ...Object.fromEntries(OF_THE_WALLET.map((name) => [name, undefined])) }
      amounts(rest, overrides['unit'] ?? unit, [...path, 'plan_overrides'])
    })
  }
}

/** Of a plan or of overrides, as they were read. `units`: as in tollgate.yaml. */
export function checkAmounts(
  file: Pick<YamlFile, 'report'>,
  fields: Fields,
  unit: unknown,
  units: Fields,
  path: Path,
): void {
  const scale = mapOf(units[String(unit)])['scale'] ?? DEFAULT_SCALE
  if (typeof scale !== 'number' || !Number.isInteger(scale) || scale < 0 || scale > 12) return
  const exhausted = mapOf(fields['on_exhausted'])
  const allowance = mapOf(fields['allowance'])
  const rollover = mapOf(allowance['rollover'])
  checkAllowance(file, allowance, scale, [...path, 'allowance'])
  const alerts = listOf(fields['alerts'])
  checkAlerts(file, alerts, path)
  const topUp = mapOf(fields['auto_top_up'])
  checkTopUp(file, topUp, scale, [...path, 'auto_top_up'])
  const amounts: readonly [unknown, Path][] = [
    [fields['max_cost_per_call'], ['max_cost_per_call']],
    [fields['max_cost_per_batch'], ['max_cost_per_batch']],
    [exhausted['floor'], ['on_exhausted', 'floor']],
    [exhausted['cap'], ['on_exhausted', 'cap']],
    [allowance['amount'], ['allowance', 'amount']],
    [rollover['min'], ['allowance', 'rollover', 'min']],
    [rollover['max'], ['allowance', 'rollover', 'max']],
    ...alerts.map((alert, i): [unknown, Path] => [mapOf(alert)['below'], ['alerts', i, 'below']]),
    ...['below', 'amount', 'at_most'].map((name): [unknown, Path] => [topUp[name], ['auto_top_up', name]]),
  ]
  for (const [amount, field] of amounts) {
    // What is no decimal at all is the schema's to refuse.
    if (typeof amount !== 'string' || !/^-?(0|[1-9]\d*)(\.\d+)?$/.test(amount)) continue
    try {
      parseAmount(amount, scale)
    } catch (error) {
      if (!(error instanceof AmountError)) throw error
      file.report([...path, ...field], 'value', `${shownField([...path, ...field])}: ${error.message}`)
    }
  }
}

/** A window where one is needed, and names that fit nothing. */
function checkBudgets(file: YamlFile, plans: Fields): void {
  listOf(mapOf(file.value)['budgets']).forEach((item, i) => {
    const budget = mapOf(item)
    const path = ['budgets', i]
    const say = (field: string, message: string) =>
      file.report(budget[field] === undefined ? path : [...path, field], 'value', `budgets[${i}].${field}: ${message}`)
    const concurrent = budget['unit'] === 'concurrent'
    if (concurrent && budget['window'] !== undefined) say('window', 'calls at one time have no window; leave it out')
    if (!concurrent && budget['window'] === undefined && budget['unit'] !== undefined)
      say('window', 'is missing; write hour, day, week, month, quarter, year, lifetime, or a duration like 1m')
    const plan = mapOf(budget['match'])['plan']
    if (typeof plan === 'string' && !plan.includes('*') && !Object.hasOwn(plans, plan))
      file.report(
        [...path, 'match', 'plan'],
        'value',
        `budgets[${i}].match.plan: unknown plan "${shorten(plan)}"${remedy(plan, Object.keys(plans), 'plans')}`,
      )
  })
}

/** What was delivered is known by the URL: two receivers of one would share it. */
function checkReceivers(file: YamlFile): void {
  const urls = new Distinct(file, 'receiver with this url')
  listOf(mapOf(file.value)['webhooks']).forEach((item, i) => {
    const url = mapOf(item)['url']
    urls.add(typeof url === 'string' ? (URL.parse(url)?.href ?? url) : url, ['webhooks', i, 'url'], false)
  })
}

function lower(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

/** Values that may stand once: the second is reported at its own place. */
class Distinct {
  private readonly file: YamlFile
  private readonly called: string
  private readonly seen = new Map<unknown, Path>()

  constructor(file: YamlFile, called: string) {
    this.file = file
    this.called = called
  }

  add(value: unknown, path: Path, shown: boolean): void {
    if (value === undefined || value === null || value === '' || typeof value === 'object') return
    const first = this.seen.get(value)
    if (first === undefined) {
      this.seen.set(value, path)
      return
    }
    const { line } = this.file.problemAt(first, 'value', '')
    const name = shown ? ` "${shorten(String(value))}"` : ''
    this.file.report(
      path,
      'value',
      `${shownField(path)}: duplicate ${this.called}${name}; the first is in line ${line}`,
    )
  }
}
