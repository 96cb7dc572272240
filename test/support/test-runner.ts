import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type RunnerTask, type RunnerTestFile, type RunnerTestSuite, TestRunner } from 'vitest'

/** Helpers that need a program, by the name that `npm test` puts into TOLLGATE_TESTS_WITHOUT where it is missing. */
const HELPERS: Readonly<Record<string, string>> = { redis: 'support/redis.ts', prometheus: 'support/prometheus.ts' }

/**
 * Tests that know no time but what they are told: of money, of what is counted. All others, of processes that race with
 * each other and with the clock, have a second try under CI, where they share few cores with other files. The run's end
 * names those that needed it; what fails twice is red.
 */
const ONE_TRY = ['/test/model/', '/test/scripts/', '/test/recordings/', '/test/unit/core/', '/test/unit/providers/']

/** Skips what the machine cannot run, and gives a second try to what a busy machine disturbs. */
export default class ProjectTestRunner extends TestRunner {
  onCollected(files: RunnerTestFile[]): void {
    if (process.env['CI'] === 'true')
      for (const file of files) if (!ONE_TRY.some((part) => file.filepath.includes(part))) retryOnce(file)
    skipWithoutPrograms(files)
  }
}

function retryOnce(task: RunnerTask): void {
  if (task.type === 'suite') for (const inner of task.tasks) retryOnce(inner)
  else task.retry = 1
}

/**
 * Marks the tests of a file as skipped, before its hooks run, where it imports (itself or through its helpers) one
 * that needs a program the machine lacks.
 */
function skipWithoutPrograms(files: RunnerTestFile[]): void {
  const missing = (process.env['TOLLGATE_TESTS_WITHOUT'] ?? '').split(',').flatMap((name) => HELPERS[name] ?? [])
  if (missing.length === 0) return
  for (const file of files) if (importsAny(file.filepath, missing, new Set())) skipAll(file)
}

function skipAll(suite: RunnerTestSuite): void {
  suite.mode = 'skip'
  for (const task of suite.tasks) {
    if (task.type === 'suite') skipAll(task)
    else task.mode = 'skip'
  }
}

function importsAny(path: string, endings: readonly string[], visited: Set<string>): boolean {
  if (visited.has(path)) return false
  visited.add(path)
  if (endings.some((ending) => path.endsWith(ending))) return true
  const imports = readFileSync(path, 'utf8').matchAll(/from '(\.[^']+\.ts)'/g)
  return [...imports].some(([, relative]) => {
    const target = resolve(dirname(path), relative as string)
    return target.includes('/test/') && importsAny(target, endings, visited)
  })
}
