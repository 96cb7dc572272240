import { COUNTED_KINDS, TOKEN_KINDS, type Usage } from './usage.ts'

/** Both together: of an answer whose parts state their usage apart. The providers' own objects become a list. */
export function addUsage(a: Usage, b: Usage): Usage {
  const reasoning = a.reasoning === undefined && b.reasoning === undefined ? undefined : sum(a.reasoning, b.reasoning)
  const units = a.units || b.units ? sumEach(COUNTED_KINDS, a.units ?? {}, b.units ?? {}) : undefined
  const flags = [...new Set([...(a.flags ?? []), ...(b.flags ?? [])])]
  return {
    tokens: sumEach(TOKEN_KINDS, a.tokens, b.tokens),
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(units ? { units } : {}),
    raw: [...list(a.raw), ...list(b.raw)],
    ...(flags.length > 0 ? { flags } : {}),
  }
}

function sumEach<Kind extends string>(
  kinds: readonly Kind[],
  a: { readonly [kind in Kind]?: number },
  b: { readonly [kind in Kind]?: number },
): { [kind in Kind]?: number } {
  const result: { [kind in Kind]?: number } = {}
  for (const kind of kinds) if (a[kind] !== undefined || b[kind] !== undefined) result[kind] = sum(a[kind], b[kind])
  return result
}

function sum(a: number | undefined, b: number | undefined): number {
  return Math.min(Number.MAX_SAFE_INTEGER, (a ?? 0) + (b ?? 0))
}

function list(raw: unknown): readonly unknown[] {
  if (raw === null || raw === undefined) return []
  return Array.isArray(raw) ? raw : [raw]
}
