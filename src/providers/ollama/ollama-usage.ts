/**
 * Reads the counts of an answer's last line, or of the whole one.
 *
 * `prompt_eval_count` is left out where it would be 0: the prompt was taken from the model's cache and nothing of it
 * was read. Absent stays absent and costs nothing; it is flagged, since some servers leave it out for other reasons.
 * A call without a prompt only loads the model into memory, or takes it out.
 * Source: github.com/ollama/ollama, api/types.go, Metrics (`omitempty`), and docs/api.md; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import { isBadCount, readCount } from '../counts.ts'

type Fields = Readonly<Record<string, unknown>>

export const USAGE_MEMBERS = ['model', 'prompt_eval_count', 'eval_count', 'done_reason', 'error'] as const
const COUNTS = ['prompt_eval_count', 'eval_count'] as const
const LOADED = new Set<unknown>(['load', 'unload'])

/** undefined where the answer states no count. */
export function readOllamaUsage(answer: Fields): Usage | undefined {
  const input = readCount(answer, 'prompt_eval_count')
  const output = readCount(answer, 'eval_count')
  const raw = rawCounts(answer)
  if (input === undefined && output === undefined)
    return LOADED.has(answer['done_reason']) ? { tokens: { input: 0, output: 0 }, raw } : undefined
  const flags = [
    ...(COUNTS.some((name) => isBadCount(answer, name)) ? ['unreadable_count'] : []),
    ...(input === undefined ? ['input_not_stated'] : []),
  ]
  return {
    tokens: { ...(input === undefined ? {} : { input }), ...(output === undefined ? {} : { output }) },
    raw,
    ...(flags.length > 0 ? { flags } : {}),
  }
}

function rawCounts(answer: Fields): Fields {
  return Object.fromEntries(
    [...COUNTS, 'done_reason'].filter((name) => answer[name] !== undefined).map((name) => [name, answer[name]]),
  )
}
