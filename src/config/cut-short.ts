import type { SourceFile } from './parse-config.ts'
import { type Problem, shownPath } from './problem.ts'

const IF_MEANT = 'the config in force stays. If it is meant, reload it (SIGHUP or POST /admin/v1/config/reload)'

/**
 * A half-written file parses fine and has fewer accounts. It shows in two ways: it is the beginning of what is in
 * force, or it lacks the `...` (YAML's end of document) that the text in force ends with. A reload that was asked for
 * takes it as it is; the watcher does not.
 */
export function cutShort(inForce: SourceFile, read: SourceFile): Problem[] {
  const reason = endLost(inForce.text, read.text)
    ? 'the "..." at its end is gone'
    : isBeginning(inForce.text, read.text)
      ? 'it is the beginning of the one in force'
      : undefined
  if (reason === undefined) return []
  const lines = read.text.split('\n')
  const end = { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 }
  return [{ file: shownPath(read.file), ...end, message: `looks cut short: ${reason}; ${IF_MEANT}` }]
}

/**
 * Whether what was taken off is whole lines and no `...` is lost: an account deleted at the end looks like that, and a
 * file whose writer was interrupted. The first stands still, the second rarely for long.
 */
export function maybeMeant(inForce: SourceFile, read: SourceFile): boolean {
  return read.text.endsWith('\n') && !endLost(inForce.text, read.text)
}

function endLost(inForce: string, read: string): boolean {
  return endsDocument(inForce) && !endsDocument(read)
}

function endsDocument(text: string): boolean {
  return /(^|\n)\.\.\.$/.test(text.slice(-4096).trimEnd())
}

function isBeginning(inForce: string, read: string): boolean {
  if (read.length >= inForce.length || !inForce.startsWith(read)) return false
  const rest = inForce.slice(read.length)
  const wholeLines = read === '' || read.endsWith('\n') || /^\r?\n/.test(rest)
  // Blank lines and comments taken off the end lose nothing.
  return !wholeLines || !rest.split('\n').every((line) => /^\s*(#|$)/.test(line))
}
