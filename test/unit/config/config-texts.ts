import { resolve } from 'node:path'
import { type ParsedConfig, parseConfig } from '../../../src/config/parse-config.ts'
import { formatProblem } from '../../../src/config/problem.ts'
import type { Snapshot } from '../../../src/config/snapshot.ts'

export interface Texts {
  readonly tollgate?: string
  readonly entitlements?: string
  readonly prices?: string
}

export const PLAN = 'plans:\n  pro: {}\n'

/** Files `t.yaml`, `e.yaml`, `p.yaml` of the working directory with these texts, as far as they are given. */
export function parseTexts(texts: Texts, environment: Record<string, string> = {}): ParsedConfig {
  return parseConfig(
    {
      tollgate: { file: resolve('t.yaml'), text: texts.tollgate ?? 'version: 1\n' },
      entitlements: { file: resolve('e.yaml'), text: texts.entitlements ?? 'version: 1\n' },
      prices: { file: resolve('p.yaml'), text: texts.prices ?? 'version: 1\n' },
    },
    environment,
    { nowMs: 1000 },
  )
}

export function problemLines(texts: Texts, environment: Record<string, string> = {}): string[] {
  return (parseTexts(texts, environment).problems ?? []).map(formatProblem)
}

export function snapshotOf(texts: Texts, environment: Record<string, string> = {}): Snapshot {
  const parsed = parseTexts(texts, environment)
  if (!parsed.snapshot) throw new Error(parsed.problems.map(formatProblem).join('\n'))
  return parsed.snapshot
}
