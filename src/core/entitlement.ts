import { anyGlobMatches } from './glob.ts'

export interface Entitlements {
  readonly name: string
  readonly models: readonly string[]
  /** undefined: all. */
  readonly endpoints: readonly string[] | undefined
}

export interface EntitlementFacts {
  /** undefined: the call names none. */
  readonly model: string | undefined
  readonly endpoint: string
  /** A free endpoint is always allowed. */
  readonly free: boolean
}

export interface NotEntitled {
  readonly code: 'not_entitled'
  readonly rule: 'plan.models' | 'plan.endpoints'
  readonly message: string
}

/** Whether a plan allows a model at an endpoint: undefined, or the rule that says no. */
export function decideEntitlement(plan: Entitlements, facts: EntitlementFacts): NotEntitled | undefined {
  if (facts.free) return undefined
  if (plan.endpoints !== undefined && !plan.endpoints.includes(facts.endpoint)) {
    const allowed = plan.endpoints.length === 0 ? 'none' : plan.endpoints.join(', ')
    return denied('plan.endpoints', `Plan "${plan.name}" does not include ${facts.endpoint}; it allows ${allowed}.`)
  }
  if (facts.model === undefined) {
    // A call without a model fits no pattern but the one for everything.
    if (plan.models.includes('*')) return undefined
    return denied('plan.models', `Plan "${plan.name}" allows certain models only, and the call names none.`)
  }
  if (anyGlobMatches(plan.models, facts.model)) return undefined
  const allowed = plan.models.length === 0 ? 'none' : plan.models.join(', ')
  return denied(
    'plan.models',
    `Plan "${plan.name}" does not include model ${shown(facts.model)}; it allows ${allowed}.`,
  )
}

/** The first name that the plan requires and the call lacks: `run`, `user`, or a label. Undefined: nothing is missing. */
export function missingRequired(
  required: readonly string[],
  facts: {
    readonly run: string | undefined
    readonly user: string | undefined
    readonly labels: Readonly<Record<string, string>>
  },
): string | undefined {
  return required.find((name) => {
    if (name === 'run' || name === 'user') return facts[name] === undefined
    return !Object.hasOwn(facts.labels, name)
  })
}

function denied(rule: NotEntitled['rule'], message: string): NotEntitled {
  return { code: 'not_entitled', rule, message }
}

/** A model is the caller's own text: quoted, and bounded in a message. */
function shown(model: string): string {
  return JSON.stringify(model.length > 128 ? `${model.slice(0, 128)}…` : model)
}
