import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import SlowFirstSequencer from './test/support/slow-first-sequencer.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A test that waits for a condition has this long for it, on a machine that is busy with the other files.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    // Most tests wait, for processes or for time to pass: vitest's own choice, one core fewer than there are, idles.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: SlowFirstSequencer },
    runner: './test/support/test-runner.ts',
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
})
