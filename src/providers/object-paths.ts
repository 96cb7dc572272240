/**
 * Paths of objects at a provider, as a table: which segments name an object, what the answer makes, what is left to the
 * operator. A path that no row has is not served.
 */
import type { Endpoint, Format } from '../config/snapshot.ts'
import { isPlainId } from './object-id.ts'
import type { ObjectRules, Operation, OperationMatch } from './provider.ts'

/** `files/:id/content`: `:id` is an object that its owner alone may use, `:part` one inside it (known or not). */
export type ObjectRow = readonly [methods: string, pattern: string, endpoint: Endpoint, rules?: RowRules]

export interface RowRules extends ObjectRules {
  /** It costs something that nothing here meters: served only where `metering.unmetered_paths` names it. */
  readonly unmetered?: true
  /** Ids in paths stand with their collection before them (Gemini: files/abc). */
  readonly qualified?: true
}

interface CompiledRow {
  readonly methods: ReadonlySet<string>
  readonly segments: readonly string[]
  readonly operation: Operation
  readonly qualified: boolean
}

/** What may stand before a pattern: versions and the names that APIs and their copies have for themselves. */
const PREFIX = /^(v\d+[a-z0-9]*|openai|api|beta|inference|compatible-mode|upload|download)$/

export type ObjectMatcher = (method: string, segments: readonly string[]) => OperationMatch | undefined

export function objectMatcher(format: Format, rows: readonly ObjectRow[]): ObjectMatcher {
  const compiled = rows.map((row) => compile(format, row))
  return (method, segments) => {
    for (const row of compiled) {
      if (!row.methods.has(method)) continue
      const match = matchRow(row, segments)
      if (match !== undefined) return match
    }
    return undefined
  }
}

function compile(format: Format, [methods, pattern, endpoint, rules = {}]: ObjectRow): CompiledRow {
  const { unmetered, qualified, ...objects } = rules
  return {
    methods: new Set(methods.split(' ')),
    segments: pattern.split('/'),
    operation: { format, endpoint, kind: unmetered ? 'unmetered' : 'free', objects },
    qualified: qualified === true,
  }
}

function matchRow(row: CompiledRow, segments: readonly string[]): OperationMatch | undefined {
  const start = segments.length - row.segments.length
  // The first segment is what stands before the leading slash.
  if (start < 1) return undefined
  for (let i = 1; i < start; i++) if (!PREFIX.test(segments[i] as string)) return undefined
  let objectId: string | undefined
  let parts: string[] | undefined
  for (let i = 0; i < row.segments.length; i++) {
    const wanted = row.segments[i] as string
    const found = segments[start + i] as string
    if (wanted[0] !== ':') {
      if (wanted !== found) return undefined
      continue
    }
    const [name, verb] = wanted.slice(1).split(':') as [string, string | undefined]
    const bare = verb === undefined ? found : withoutVerb(found, verb)
    if (!isPlainId(bare) || (verb === undefined && row.qualified && bare.includes(':'))) return undefined
    const id = row.qualified ? `${row.segments[i - 1]}/${bare}` : bare
    if (name === 'id') objectId = id
    else {
      parts ??= []
      parts.push(id)
    }
  }
  return { operation: row.operation, objectId, ...(parts ? { parts } : {}) }
}

/** `abc:cancel` without `:cancel`; undefined where it has not that verb. */
function withoutVerb(segment: string, verb: string): string | undefined {
  return segment.endsWith(`:${verb}`) ? segment.slice(0, -verb.length - 1) : undefined
}
