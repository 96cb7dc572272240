import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { parseAmount } from '../../src/core/money.ts'
import { startSimulator } from '../../src/simulator/simulator.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import type { LedgerEntry, Wallet } from '../../src/wallet/wallet-types.ts'
import { creditRequest } from '../support/credit-request.ts'
import { TEST_KEY, writeConfig } from '../support/gateway.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

async function wholeLedger(wallet: Wallet): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = []
  for (;;) {
    const page = await wallet.ledger('acme', { afterSeq: entries.at(-1)?.seq ?? 0, limit: 500, type: undefined })
    if (page.length === 0) return entries
    entries.push(...page)
  }
}

function call(gateway: GatewayProcess, stream: boolean): Promise<unknown> {
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${TEST_KEY}`,
      'content-type': 'application/json',
      'x-simulate': stream ? 'output=100,tps=10' : 'output=100,latency=30000',
    },
    body: JSON.stringify({
      model: 'gpt-5-mini',
      max_tokens: 100,
      stream,
      messages: [{ role: 'user', content: 'hello' }],
    }),
  })
    .then((answer) => answer.text())
    .catch(() => undefined)
}

test.skipIf(!redisAvailable).each([1, 2])(
  'killed with 100 calls open and started again (%i worker(s)): nothing stays held, each hold has one end, balances are the ledger',
  async (workers) => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-kill-'))
    const redis = await startRedis()
    const simulator = await startSimulator({ seed: 1 })
    const files = writeConfig(dir, simulator.url, redis.url, {
      workers,
      settings: 'limits: { hold_deadline: 6s, checkpoint_every: 500ms }',
    })
    const connection = new Redis(redis.url)
    const wallet = createWallet(connection)
    let gateway = await startGatewayProcess(files.tollgate)
    try {
      await wallet.grant(creditRequest(parseAmount('100'), { funding: 'external' }))
      const calls = Array.from({ length: 100 }, (_, index) => call(gateway, index % 2 === 0))
      await waitFor('100 open holds', async () => (await wallet.holds('acme')).length === 100)
      await waitFor('100 calls at the provider', () => simulator.stats.open === 100)
      await waitFor('a checkpoint of what the streams have delivered', async () => {
        const checkpoints = (await wallet.holds('acme')).map((hold) => hold.checkpointAtoms)
        return checkpoints.reduce((sum, atoms) => sum + atoms, 0n) >= parseAmount('0.5')
      })
      await gateway.kill('SIGKILL')
      await Promise.all(calls)
      gateway = await startGatewayProcess(files.tollgate)
      await waitFor('nothing held', async () => (await wallet.balances('acme'))[0]?.heldAtoms === 0n)
      await waitFor(
        'every end in the ledger',
        async () =>
          (await wholeLedger(wallet)).filter((entry) => ['settle', 'void', 'timeout'].includes(entry.type)).length ===
          100,
      )
      const ledger = await wholeLedger(wallet)
      const holds = ledger.filter((entry) => entry.type === 'hold').map((entry) => entry.op)
      const ends = ledger.filter((entry) => ['settle', 'void', 'timeout'].includes(entry.type)).map((entry) => entry.op)
      expect(ends.sort()).toEqual(holds.sort())
      expect(ledger.map((entry) => entry.seq)).toEqual(ledger.map((_, index) => index + 1))
      expect(await wallet.counts('acme')).toMatchObject({
        openHolds: 0,
        timeouts: ledger.filter((entry) => entry.type === 'timeout').length,
      })
      const balances = await wallet.balances('acme')
      expect(balances[0]?.debtAtoms).toBe(0n)
      // What was delivered is charged, at least as far as it was said.
      expect(balances[0]?.postedAtoms).toBeGreaterThanOrEqual(parseAmount('0.5'))
      expect(replayLedger(ledger).balances).toEqual(balances)
    } finally {
      await gateway.kill('SIGKILL')
      connection.disconnect()
      await simulator.close()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  },
)
