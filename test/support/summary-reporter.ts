import type { Reporter, TestModule } from 'vitest/node'

/** The last line of a run: `N passed, N failed, N skipped`. A file that could not be loaded counts as one failure. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 }
    for (const module of modules) countModule(module, counts)
    const { passed, skipped } = counts
    // Other reporters and the test processes may still print: this line stays the last.
    process.once('exit', () =>
      console.log(`${passed} passed, ${counts.failed + counts.pending} failed, ${skipped} skipped`),
    )
  }
}

/** A test that never ran its course (a hook above it failed, a worker died) is not passed. */
function countModule(module: TestModule, counts: Record<'passed' | 'failed' | 'skipped' | 'pending', number>): void {
  const failedBefore = counts.failed
  const skipped = module.state() === 'skipped'
  for (const test of module.children.allTests()) counts[skipped ? 'skipped' : test.result().state] += 1
  if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed += 1
}
