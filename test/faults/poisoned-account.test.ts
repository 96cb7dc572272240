/** Something wrote into an account's keys by hand. Nothing of it may be lost, and nobody else may notice. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { Outbox } from '../../src/wallet/outbox.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { createSweeper } from '../../src/wallet/sweeper.ts'
import { accountOf, stateOf } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'
import { memoryLog, until } from '../unit/outbox/fake-wallet.ts'

const harness = withWallet()

const DAMAGE: readonly [string, readonly [string, ...string[]]][] = [
  ['a wallet record of an unknown form', ['HSET', 'acct', 'w:USD', '2|what']],
  ['a number beyond what Redis keeps', ['HSET', 'acct', 'account', '1|1e3|0|0|0|1']],
  ['hold records of another type', ['SET', 'holds', 'x']],
  ['a ledger of another type', ['SET', 'ledger', 'x']],
  ['due times of another type', ['SET', 'due', 'x']],
]

redisTest.each(DAMAGE)(
  '%s: the settlement is kept, the others and the sweep go on',
  async (_, [command, name, ...args]) => {
    const { redis, wallet, clock } = harness
    const dataDir = mkdtempSync(join(tmpdir(), 'tollgate-poison-'))
    const log = memoryLog()
    const outbox = new Outbox({ dataDir, worker: 'main', wallet, log })
    const sweeper = createSweeper({
      wallet,
      redis: { call: (command_: string, ...rest: (string | number)[]) => redis.call(command_, ...rest.map(String)) },
      accounts: () => [bad.account, good.account],
      log,
      nowMs: () => clock.nowMs,
    })
    const [bad, good] = [accountOf(harness), accountOf(harness)]
    try {
      await bad.grant(1000n)
      await good.grant(1000n)
      const [owedByBad, owedByGood] = [bad.terms(), good.terms()]
      const left = good.call(50n, { deadlineMs: 10, onTimeout: 'full' })
      for (const request of [bad.call(100n, owedByBad), good.call(100n, owedByGood), left]) await wallet.hold(request)

      const key = `tg:{${bad.account}}:${name}`
      await redis.copy(key, `${key}:kept`)
      await redis.call(command, key, ...args)
      const damaged = await stateOf(redis, bad.account)

      const waiting = outbox.settle({ terms: owedByBad, finalAtoms: 60n, info: '{}' })
      const settled = await outbox.settle({ terms: owedByGood, finalAtoms: 60n, info: '{}' })
      expect(settled).toMatchObject({ status: 'settled', chargedAtoms: 60n })
      await until(() => outbox.failing === 1)
      clock.nowMs += 1000
      sweeper.start()
      await sweeper.tick()
      expect((await good.ledger()).map((entry) => entry.type)).toContain('timeout')
      expect([outbox.depth, outbox.accepting]).toEqual([1, true])
      expect(log.lines.filter((line) => line.includes('a settlement fails'))).toHaveLength(1)
      // A script that fails has written nothing.
      expect(await stateOf(redis, bad.account)).toEqual(damaged)

      await redis.copy(`${key}:kept`, key, 'REPLACE')
      expect(await waiting).toMatchObject({ status: 'settled', chargedAtoms: 60n })
      expect([outbox.depth, outbox.failing]).toEqual([0, 0])
    } finally {
      await sweeper.stop()
      await outbox.close(100)
      rmSync(dataDir, { recursive: true, force: true })
    }
  },
)

redisTest('an amount that no script takes is refused by the script before it wrote', async () => {
  const wallet = createWallet(harness.redis, { testClock: () => harness.clock.nowMs })
  const account = accountOf(harness)
  await account.grant(10n)
  const before = await stateOf(harness.redis, account.account)
  const request = { terms: account.terms(), finalAtoms: 2n ** 53n, info: '{}' }
  await expect(wallet.settle(request)).rejects.toThrow(/out_of_range/)
  expect(await stateOf(harness.redis, account.account)).toEqual(before)
})
