import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** The last line of a run: `N passed, N failed, N skipped`. A file that could not be loaded counts as one failure. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 }
    for (const module of modules) countModule(module, counts)
    const flaky = modules.flatMap((module) => [...module.children.allTests()].filter(isFlaky))
    const { passed, skipped } = counts
    // Other reporters and the test processes may still print: this line stays the last.
    process.once('exit', () => {
      for (const test of flaky) console.log(`at the second try: ${test.module.relativeModuleId} > ${test.fullName}`)
      console.log(`${passed} passed, ${counts.failed + counts.pending} failed, ${skipped} skipped`)
    })
  }
}

function isFlaky(test: TestCase): boolean {
  return test.diagnostic()?.flaky === true
}

/** A test that never ran its course (a hook above it failed, a worker died) is not passed. */
function countModule(module: TestModule, counts: Record<'passed' | 'failed' | 'skipped' | 'pending', number>): void {
  const failedBefore = counts.failed
  const skipped = module.state() === 'skipped'
  for (const test of module.children.allTests()) counts[skipped ? 'skipped' : test.result().state] += 1
  if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed += 1
}
