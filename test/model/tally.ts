/** How many steps of which kind a run had, and what they were answered: so that it is seen that histories are not trivial. */
import type { Kind } from './steps.ts'

export type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>

export interface Tally {
  count(kind: Kind, answer: unknown): void
  /** Waits and checks are none. */
  operations(): number
  counts(): Counts
}

export function createTally(before: Counts = {}): Tally {
  const counts: Record<string, Record<string, number>> = structuredClone(before) as Record<
    string,
    Record<string, number>
  >
  return {
    count(kind, answer) {
      counts[kind] ??= {}
      const of = counts[kind]
      const status = statusOf(answer)
      of[status] = (of[status] ?? 0) + 1
    },
    operations: () => operationsIn(counts),
    counts: () => counts,
  }
}

function statusOf(answer: unknown): string {
  if (typeof answer === 'string') return answer
  if (typeof answer !== 'object' || answer === null || !('status' in answer)) return 'done'
  return 'replay' in answer && answer.replay === true ? 'replay' : String(answer.status)
}

export function operationsIn(counts: Counts): number {
  return Object.entries(counts)
    .filter(([kind]) => kind !== 'wait' && kind !== 'check')
    .reduce((total, [, of]) => total + totalOf(of), 0)
}

function totalOf(of: Readonly<Record<string, number>>): number {
  return Object.values(of).reduce((total, count) => total + count, 0)
}

export function addCounts(a: Counts, b: Counts): Counts {
  const sum: Record<string, Record<string, number>> = structuredClone(a) as Record<string, Record<string, number>>
  for (const [kind, of] of Object.entries(b)) {
    sum[kind] ??= {}
    for (const [status, count] of Object.entries(of)) sum[kind][status] = (sum[kind][status] ?? 0) + count
  }
  return sum
}

/** A line for each kind: how many, and the share of each answer. */
export function describeCounts(counts: Counts): string {
  const kinds = Object.entries(counts).sort(([, a], [, b]) => totalOf(b) - totalOf(a))
  return kinds
    .map(([kind, of]) => {
      const total = totalOf(of)
      const shares = Object.entries(of)
        .sort(([, a], [, b]) => b - a)
        .map(([status, count]) => `${status} ${((100 * count) / total).toFixed(count * 100 < total ? 2 : 0)} %`)
      return `  ${kind.padEnd(15)} ${String(total).padStart(9)}  ${shares.join(', ')}`
    })
    .join('\n')
}
