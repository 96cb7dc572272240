import type { Usage } from './usage.ts'
import { UsageSum } from './usage-sum.ts'

/** Both together: of an answer whose parts state their usage apart. The providers' own objects become a list. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum = new UsageSum()
  sum.add(a)
  sum.add(b)
  return sum.total([...list(a.raw), ...list(b.raw)])
}

function list(raw: unknown): readonly unknown[] {
  if (raw === null || raw === undefined) return []
  return Array.isArray(raw) ? raw : [raw]
}
