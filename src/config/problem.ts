import { isAbsolute, relative, sep } from 'node:path'

/** One thing that is wrong with a file. Line and column count from 1; `file` is as users write it. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
}

/** `config/entitlements.yaml:14:9: accounts.acme.plan: unknown plan "prp"; did you mean "pro"?` */
export function formatProblem(problem: Problem): string {
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.message}`
}

/** In the order of reading: by line, then by column. Problems of one file only. */
export function byPosition(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column
}

/** A path as users write it: relative to the working directory where it lies below it, else absolute. */
export function shownPath(file: string, directory: string = process.cwd()): string {
  const path = relative(directory, file)
  return path === '' || path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path) ? file : path
}
