/** Workers that die or stand still: /readyz tells it, and the others, or the next one, serve. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

test.skipIf(!redisAvailable)(
  'a gateway is ready while one of its workers answers, and starts the next where one died',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-workers-'))
    const [redis, simulator] = await Promise.all([startRedis(), startSimulator({ seed: 1 })])
    const gateway = await startGatewayProcess(writeConfig(dir, simulator.url, redis.url, { workers: 2 }).tollgate)
    try {
      await said(gateway, 200, '2 of 2 answer')
      const [first = 0, second = 0] = childrenOf(gateway.child.pid)
      process.kill(first, 'SIGSTOP')
      await said(gateway, 200, '1 of 2 answer')
      process.kill(second, 'SIGSTOP')
      await said(gateway, 503, '0 of 2 answer')
      process.kill(first, 'SIGCONT')
      await said(gateway, 200, '1 of 2 answer')
      process.kill(second, 'SIGKILL')
      await said(gateway, 200, '2 of 2 answer')
      expect(childrenOf(gateway.child.pid)).not.toContain(second)
    } finally {
      await gateway.kill('SIGKILL')
      await Promise.all([simulator.close(), redis.stop()])
      rmSync(dir, { recursive: true, force: true })
    }
  },
  180_000,
)

/** On a busy machine a worker may be late with one answer: asked until it is so. */
async function said(gateway: GatewayProcess, status: number, workers: string): Promise<void> {
  await waitFor(`${status} and ${workers}`, async () => {
    const answer = await fetch(`${gateway.adminUrl}/readyz`)
    const { checks } = (await answer.json()) as { checks: { workers: { detail: string } } }
    return answer.status === status && checks.workers.detail === workers
  })
}

function childrenOf(pid: number | undefined): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  const children = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, ...args]) => Number(parent) === pid && args.join(' ').includes('worker'))
  return children.map(([child]) => Number(child))
}
