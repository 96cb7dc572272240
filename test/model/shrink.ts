/** Makes a failing history short, and prints it as a fixed case. */
import type { Divergence } from './random-history.ts'
import type { Step } from './steps.ts'

type Play = (steps: readonly Step[]) => Promise<Divergence | undefined>

/** Leaves out budgets, and steps, many at first and then one by one, as long as what is left still fails. */
export async function shrink(found: Divergence, playAny: Play): Promise<Divergence> {
  // The same kind of step fails, or it is another failure: steps that ask what the model would not have asked.
  const kind = found.steps.at(-1)?.kind
  const play: Play = async (steps) => {
    const other = await playAny(steps)
    return other?.steps.at(-1)?.kind === kind ? other : undefined
  }
  const least = await withoutSteps((await play(found.steps.map(withoutBudgets))) ?? found, play)
  return (await withoutEachBudget(least, play)) ?? least
}

async function withoutEachBudget(found: Divergence, play: Play): Promise<Divergence> {
  let least = found
  for (let at = 0; at < least.steps.length; at++) {
    const step = least.steps[at] as Step
    if (step.request === null || !('budgets' in step.request || 'terms' in step.request)) continue
    least = (await play(least.steps.with(at, withoutBudgets(step)))) ?? least
  }
  return least
}

function withoutBudgets(step: Step): Step {
  if (step.kind === 'hold') {
    const { budgets: _, amounts: __, ...request } = step.request
    return { ...step, request }
  }
  if (step.kind !== 'settle') return step
  const { budgets: _, ...terms } = step.request.terms
  return { ...step, request: { ...step.request, terms } }
}

async function withoutSteps(found: Divergence, play: Play): Promise<Divergence> {
  let least = found
  for (let size = Math.ceil(least.steps.length / 2); ; size = Math.ceil(size / 2)) {
    for (let from = 0; from < least.steps.length; ) {
      const without = least.steps.toSpliced(from, size)
      const smaller = without.length > 0 ? await play(without) : undefined
      if (smaller && smaller.steps.length < least.steps.length) least = smaller
      else from += size
    }
    if (size === 1) return least
  }
}

/** As it stands in cases.ts. */
export function printCase(name: string, steps: readonly Step[]): string {
  const lines = steps.filter(({ kind }) => kind !== 'check').map((step) => `      ${literal(step)},`)
  return [`  {`, `    name: ${literal(name)},`, `    steps: [`, ...lines, `    ],`, `  },`].join('\n')
}

function literal(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string') return `'${value.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n')}'`
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  const fields = Object.entries(value).map(
    ([name, of]) => `${/^\w+$/.test(name) ? name : literal(name)}: ${literal(of)}`,
  )
  return `{ ${fields.join(', ')} }`
}
