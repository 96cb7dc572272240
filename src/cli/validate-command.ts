import { loadConfigFiles } from '../config/load-config.ts'
import { parseConfig } from '../config/parse-config.ts'
import { formatProblem } from '../config/problem.ts'

/**
 * `tollgate validate`: prints each problem of the three files as `file:line:column: message` on standard output, and
 * warnings on standard error. Answers the exit code: 0 where there is no problem, else 1.
 */
export async function validateCommand(options: { config: string }): Promise<number> {
  const loaded = await loadConfigFiles(options.config, process.env)
  const parsed = 'problems' in loaded ? loaded : parseConfig(loaded.files, process.env)
  if (!('snapshot' in parsed) || !parsed.snapshot) {
    for (const problem of parsed.problems ?? []) process.stdout.write(`${formatProblem(problem)}\n`)
    return 1
  }
  for (const warning of parsed.snapshot.warnings) process.stderr.write(`${warning}\n`)
  return 0
}
