import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { metricsText } from '../../src/metrics/merge-metrics.ts'
import { filledMetrics } from './filled-metrics.ts'
import { missing } from './prometheus-tools.ts'

const DIRECTORY = fileURLToPath(new URL('../../config/prometheus/', import.meta.url))

function promtool(args: string[], input?: string): { readonly output: string; readonly status: number | null } {
  const { stdout, stderr, status } = spawnSync('promtool', args, { cwd: DIRECTORY, encoding: 'utf8', input })
  return { output: stdout + stderr, status }
}

test
  .skipIf(missing('promtool'))
  .each([
    [['check', 'config', 'prometheus.yaml']],
    [['check', 'rules', '--lint=all', '--lint-fatal', 'recording.yaml', 'alerts.yaml']],
    [['test', 'rules', 'rules.test.yaml']],
  ])('promtool %s passes', (args) => {
  const { output, status } = promtool(args)
  expect(status, output).toBe(0)
})

test.skipIf(missing('promtool'))('promtool finds nothing to say about the names and types of the metrics', async () => {
  const { output, status } = promtool(['check', 'metrics'], await metricsText([await filledMetrics().export()]))
  expect(output).toBe('')
  expect(status).toBe(0)
})
