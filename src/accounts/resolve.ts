/** From a record in Redis to the account or the caller that it is under a config. Pure. */
import { isEmpty, overridePlan, ownOf } from '../config/build-entitlements.ts'
import type { PlanOverrides } from '../config/entitlements-schema.ts'
import type { Account, Plan, Snapshot, VirtualKey } from '../config/snapshot.ts'
import type { AccountRecord, KeyRecord } from './records.ts'

/** Why no call of it passes: its plan is not in the files any more, or an amount of its own does not fit the plan's unit. */
export type PlanProblem = 'plan_missing' | 'plan_overrides'

export type Resolved<T> =
  | { readonly value: T; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: PlanProblem; readonly plan: string }

type Config = Pick<Snapshot, 'plans' | 'planFields' | 'settings'>

export function resolveAccount(config: Config, id: string, record: AccountRecord): Resolved<Account> {
  const plan = config.plans.get(record.plan)
  if (plan === undefined) return { problem: 'plan_missing', plan: record.plan }
  const own = overridden(config, plan, [record.overrides])
  if (own === undefined) return { problem: 'plan_overrides', plan: record.plan }
  const overrides = isEmpty(record.overrides) ? undefined : record.overrides
  return { value: Object.freeze({ id, plan: own, labels: record.labels, overrides }) }
}

/** `account`: the one that the key belongs to. */
export function resolveKey(config: Config, sha256: string, record: KeyRecord, account: Account): Resolved<VirtualKey> {
  const plan = planOfKey(config, account, record.overrides)
  if (plan === undefined) return { problem: 'plan_overrides', plan: account.plan.name }
  return {
    value: Object.freeze({
      id: record.id,
      sha256,
      account,
      labels: isEmpty(record.labels) ? account.labels : { ...account.labels, ...record.labels },
      plan,
      own: ownOf(record.labels, record.overrides),
      actsFor: record.actsFor.length === 0 ? undefined : record.actsFor,
    }),
  }
}

/** Kept as long as both are in use: each call of a backend asks for one of them. */
const acting = new WeakMap<Account, WeakMap<VirtualKey, Resolved<VirtualKey>>>()

/** A backend's key as the caller of the account that it names: the account's plan, with the key's overrides on top. */
export function actFor(config: Config, key: VirtualKey, account: Account): Resolved<VirtualKey> {
  let byKey = acting.get(account)
  if (byKey === undefined) {
    byKey = new WeakMap()
    acting.set(account, byKey)
  }
  let caller = byKey.get(key)
  if (caller === undefined) {
    caller = makeActing(config, key, account)
    byKey.set(key, caller)
  }
  return caller
}

function makeActing(config: Config, key: VirtualKey, account: Account): Resolved<VirtualKey> {
  const plan = planOfKey(config, account, key.own?.overrides ?? {})
  if (plan === undefined) return { problem: 'plan_overrides', plan: account.plan.name }
  const labels = key.own === undefined ? account.labels : { ...account.labels, ...key.own.labels }
  return { value: Object.freeze({ ...key, account, labels, plan }) }
}

function planOfKey(config: Config, account: Account, overrides: PlanOverrides): Plan | undefined {
  return overridden(config, account.plan, [account.overrides ?? {}, overrides])
}

/** Undefined: an amount does not fit. */
function overridden(config: Config, from: Plan, layers: readonly PlanOverrides[]): Plan | undefined {
  if (isEmpty(layers.at(-1) ?? {})) return from
  const fields = config.planFields.get(from.name)
  if (fields === undefined) return undefined
  try {
    return overridePlan(from, fields, layers, config.settings.unitScales)
  } catch {
    // They fitted when they were given: the plan's unit, or its decimals, have changed since.
    return undefined
  }
}
