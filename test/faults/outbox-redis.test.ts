import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { newId } from '../../src/core/ids.ts'
import { connectRedis } from '../../src/redis/client.ts'
import { Outbox } from '../../src/wallet/outbox.ts'
import { recoverOutbox } from '../../src/wallet/recover-outbox.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import type { Wallet } from '../../src/wallet/wallet-types.ts'
import { creditRequest } from '../support/credit-request.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { memoryLog, terms, until } from '../unit/outbox/fake-wallet.ts'

const CALLS = 40
const HELD = 1_000_000n

async function fund(wallet: Wallet): Promise<void> {
  const result = await wallet.grant(creditRequest(1_000_000_000n, { funding: 'promotional' }))
  expect(result.status).toBe('done')
}

function holdOf(id: string, deadlineMs = 60_000) {
  return {
    ...terms(id),
    fixedAtoms: HELD,
    perTokenAtoms: 0n,
    leastTokens: 0,
    wantTokens: 0,
    totalTokens: 0,
    deadlineMs,
    dryRun: false,
    info: '{}',
  }
}

async function ends(wallet: Wallet): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  for (const entry of await wallet.ledger('acme', { afterSeq: 0, limit: 1000, type: undefined })) {
    if (['settle', 'void', 'timeout', 'late_settle'].includes(entry.type)) {
      found.set(entry.op, [...(found.get(entry.op) ?? []), entry.type])
    }
  }
  return found
}

describe.skipIf(!redisAvailable)('with a real Redis', () => {
  async function stage() {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-faults-'))
    let server = await startRedis({ aof: true, dir })
    const redis = connectRedis({
      url: server.url,
      commandMs: 5_000,
      connectMs: 5_000,
      breakerFailures: 5,
      breakerWindowMs: 1000,
      probeMs: 100,
      onState: (up) => up && current?.nudge(),
    })
    let current: Outbox | undefined
    await redis.whenUp(30_000)
    const wallet = createWallet(redis)
    return {
      wallet,
      redis,
      dataDir: dir,
      open() {
        current = new Outbox({ dataDir: dir, worker: 'w0', wallet, log: memoryLog() })
        return current
      },
      async killRedis() {
        await server.stop('kill')
        await until(() => !redis.up)
      },
      async startRedis() {
        server = await startRedis({ aof: true, dir, port: server.port })
        await redis.whenUp(30_000)
      },
      async stop() {
        await current?.close(0)
        redis.close()
        await server.stop()
        rmSync(dir, { recursive: true, force: true })
      },
    }
  }

  test('Redis dies between the holds and the settlements: each is settled once after its return', async () => {
    const stand = await stage()
    const outbox = stand.open()
    await fund(stand.wallet)
    const ids = Array.from({ length: CALLS }, () => newId(Date.now()))
    for (const id of ids) {
      outbox.intent(id, 'acme')
      expect((await stand.wallet.hold(holdOf(id))).status).toBe('held')
      outbox.dispatched(terms(id))
    }
    const settle = (id: string) => outbox.settle({ terms: terms(id), finalAtoms: 400_000n, info: '{}' })
    const before = ids.slice(0, 10).map(settle)
    await stand.killRedis()
    const after = ids.slice(10).map(settle)
    expect(outbox.depth).toBeGreaterThanOrEqual(30)
    await stand.startRedis()
    const results = await Promise.all([...before, ...after])
    expect(results.every((result) => result.status === 'settled')).toBe(true)
    const all = await ends(stand.wallet)
    expect([...all.keys()].sort()).toEqual([...ids].sort())
    for (const types of all.values()) expect(types).toEqual(['settle'])
    const [balance] = await stand.wallet.balances('acme')
    expect(balance).toMatchObject({ heldAtoms: 0n, postedAtoms: 400_000n * BigInt(CALLS), debtAtoms: 0n })
    await stand.stop()
  })

  test('the gateway dies in every phase: after its restart each hold has one end, and nothing stays held', async () => {
    const stand = await stage()
    const first = stand.open()
    await fund(stand.wallet)
    const ids = Array.from({ length: CALLS }, () => newId(Date.now()))
    const phases = ids.map((_, i) => i % 4)
    for (const [i, id] of ids.entries()) {
      first.intent(id, 'acme')
      await stand.wallet.hold(holdOf(id, 5_000))
      if ((phases[i] as number) >= 1) first.dispatched(terms(id))
      if (phases[i] === 2) first.progress(id, 300_000n)
    }
    // The last act of the dead process: settlements are recorded, and Redis is not there to take them.
    await stand.killRedis()
    for (const [i, id] of ids.entries()) {
      if (phases[i] === 3) void first.settle({ terms: terms(id), finalAtoms: 900_000n, info: '{}' })
    }
    await first.close(0)
    const outbox = stand.open()
    const recovery = recoverOutbox({
      dataDir: stand.dataDir,
      worker: undefined,
      outbox,
      wallet: stand.wallet,
      log: memoryLog(),
    })
    expect(recovery).toMatchObject({ voided: 10, left: 10, checkpointed: 10, resent: 10, damagedLines: 0 })
    await stand.startRedis()
    outbox.nudge()
    await recovery.done
    await until(() => outbox.depth === 0)
    const end = Date.now() + 60_000
    while ((await stand.wallet.sweep('acme')).nextDueMs !== undefined && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const all = await ends(stand.wallet)
    for (const [i, id] of ids.entries()) {
      // On a slow machine the deadline passes first: then the end is a timeout, and the settlement a late one.
      const expected = [/^(void|timeout)$/, /^timeout$/, /^timeout$/, /^(settle|timeout,late_settle)$/]
      expect(all.get(id)?.join()).toMatch(expected[phases[i] as number] as RegExp)
    }
    const [balance] = await stand.wallet.balances('acme')
    const late = ids.filter((id, i) => phases[i] === 0 && all.get(id)?.[0] === 'timeout').length
    // Sent and silent: the floor of 7; mid-stream: the progress; settled: its final amount, late or not.
    const posted = 7n * BigInt(10 + late) + 300_000n * 10n + 900_000n * 10n
    expect(balance).toMatchObject({ heldAtoms: 0n, postedAtoms: posted, debtAtoms: 0n })
    await stand.stop()
  })

  test('a settlement whose answer was lost changes nothing when it is sent again', async () => {
    const stand = await stage()
    const outbox = stand.open()
    await fund(stand.wallet)
    const id = newId(Date.now())
    outbox.intent(id, 'acme')
    await stand.wallet.hold(holdOf(id))
    outbox.dispatched(terms(id))
    const request = { terms: terms(id), finalAtoms: 400_000n, info: '{}' }
    await outbox.settle(request)
    const [before] = await stand.wallet.balances('acme')
    expect(await outbox.settle(request)).toMatchObject({ status: 'settled', replay: true, chargedAtoms: 400_000n })
    expect(outbox.resendKept()).toBe(1)
    await until(() => outbox.depth === 0)
    const [after] = await stand.wallet.balances('acme')
    expect(after).toEqual(before)
    expect((await ends(stand.wallet)).get(id)).toEqual(['settle'])
    await stand.stop()
  })
})
