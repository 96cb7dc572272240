/** Whether an answer is by the model that was asked for. */

/**
 * Names of a choice among models, not of one: OpenRouter's auto, Azure's model-router, and the like; and OpenAI's
 * assistants, which have a model that no call names.
 */
const ROUTER = /(^|[/_-])(auto|router)$|^asst_[a-z0-9]+$/

/** The caller asked for whichever model a router takes. */
export function isRouter(model: string): boolean {
  return ROUTER.test(plainName(model))
}

/**
 * Whether two names mean one model: in other capitals, with or without its maker's name before it or a variant behind
 * it, under an alias (`-latest`), or as the dated snapshot that stands for it.
 */
export function isSameModel(asked: string, answered: string): boolean {
  const a = plainName(asked).replace(/-latest$/, '')
  const b = plainName(answered).replace(/-latest$/, '')
  return a === b || isSnapshotOf(b, a) || isSnapshotOf(a, b)
}

/** `gpt-4o-2024-08-06` of `gpt-4o`; `gpt-4o-mini` is none. */
function isSnapshotOf(name: string, of: string): boolean {
  return name.startsWith(of) && /^[-@:.](v?\d[\d.:-]*|\d{4}-\d{2}-\d{2}.*|001|preview.*)$/.test(name.slice(of.length))
}

function plainName(model: string): string {
  const name = model.slice(model.lastIndexOf('/') + 1).toLowerCase()
  const variant = name.indexOf(':')
  return variant > 0 ? name.slice(0, variant) : name
}
