import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A test that waits for a condition has this long for it, on a machine that is busy with the other files.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    runner: './test/support/skipping-runner.ts',
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
})
