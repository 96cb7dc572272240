/** What time decides at the very moment that it does, and in batches that are full, which chance hardly comes to. */
import { describe, expect } from 'vitest'
import { ATOMS_MAX } from '../../src/core/money.ts'
import type { GrantRequest, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { watch } from '../support/watched-wallet.ts'
import { historyTests, type WrittenHistory } from './written-history.ts'

const historyTest = historyTests()
const BATCH = 32

const NEGATIVE: Partial<HoldRequest> = { onExhausted: { mode: 'negative', floorAtoms: -1000n } }

const grantsOf = ({ model, clock }: WrittenHistory) => model.read(clock.nowMs).grants

describe('what an allowance leaves to the next', () => {
  /** Ends a second from now, and leaves its rest to one that ends half a second later. */
  const allowance = (
    { clock, account }: WrittenHistory,
    atoms: bigint,
    more: Partial<NonNullable<GrantRequest['rollover']>> = {},
  ) => {
    const expiresAtMs = clock.nowMs + 1000
    const rollover = {
      percentMillionths: 1_000_000,
      minAtoms: 0n,
      maxAtoms: 1000n,
      expiresAtMs: expiresAtMs + 500,
      priority: 0,
      id: account.call(0n).id,
      ...more,
    }
    return account.grant(atoms, { expiresAtMs, rollover, funding: 'promotional' })
  }

  for (const [sweptMs, made] of [
    [1499, 2],
    [1500, 1],
  ] as const) {
    historyTest(`is made ${made - 1} times where it is found ${sweptMs} ms later, of 1,500`, async (history) => {
      await allowance(history, 100n)
      history.clock.nowMs += sweptMs
      await history.wallet.sweep(history.account.account)
      expect(grantsOf(history)).toHaveLength(made)
    })
  }

  for (const [minAtoms, made] of [
    [10n, 3],
    [11n, 2],
  ] as const) {
    historyTest(`is made where the wallet has room for it: of ${minAtoms} for 10`, async (history) => {
      await history.account.grant(ATOMS_MAX - 10n)
      await allowance(history, 10n, { minAtoms })
      history.clock.nowMs += 1000
      await history.wallet.sweep(history.account.account)
      expect(grantsOf(history)).toHaveLength(made)
    })
  }

  historyTest('has the last of all priorities where it says so', async (history) => {
    await allowance(history, 10n, { priority: 1000 })
    history.clock.nowMs += 1000
    await history.wallet.sweep(history.account.account)
    expect(grantsOf(history).map(({ priority }) => priority)).toEqual([10, 1000])
  })
})

historyTest(
  'a grant that becomes usable says that it repaid an atom, though nothing of the wallet is watched',
  async (history) => {
    const { account, clock, model, wallet, spend } = history
    const spent = await account.grant(1n, { priority: 0 })
    await account.grant(9n)
    await account.grant(5n, { effectiveAtMs: clock.nowMs + 10, repaysDebt: true })
    await spend(1n)
    const { account: name, call } = account
    const operation = { account: name, operationId: call(0n).id, reason: 'test', actor: 'test' }
    await wallet.clawback({ ...operation, grant: spent.id, amountAtoms: undefined, freeze: false })
    expect([model.events, model.watches]).toEqual([[], []])
    clock.nowMs += 10
    await wallet.sweep(name)
    expect(model.balancesAsTheyAre[0]).toMatchObject({ debtAtoms: 0n, balanceAtoms: 13n })
  },
)

describe('a batch that is full', () => {
  const FIFTH = watch({ lows: [{ kind: 'granted', millionths: 200_000 }] })

  /**
   * A wallet that is watched, where as many grants as a batch takes become usable, and one of them also ends, so many
   * milliseconds after it began. Answers what the wallet held in all after the first batch.
   */
  async function oneEnds(
    { account, clock, wallet, model, spend }: WrittenHistory,
    {
      endsMs,
      othersMs,
      lastMs = othersMs,
      id,
    }: { endsMs: number; othersMs: number; lastMs?: number; id: 'first' | 'last' },
  ) {
    await account.grant(1n)
    await spend(1n, FIFTH)
    const at = clock.nowMs + 1000
    const ending = () => account.grant(1000n, { effectiveAtMs: at, expiresAtMs: at + endsMs })
    if (id === 'first') await ending()
    clock.nowMs += 1
    for (let i = 1; i < BATCH; i++) {
      await account.grant(1n, { effectiveAtMs: at + (i === BATCH - 1 ? lastMs : othersMs) })
    }
    clock.nowMs += 1
    if (id === 'last') await ending()
    clock.nowMs = at + Math.max(endsMs, lastMs)
    await wallet.sweep(account.account)
    expect(model.balancesAsTheyAre[0]).toMatchObject({ balanceAtoms: 31n })
    return model.watches[0]?.[1].split(' ')[3]
  }

  historyTest('has in it what ends at the time of its last, in the order of ids', async (history) => {
    expect(await oneEnds(history, { endsMs: 10, othersMs: 10, id: 'first' })).toBe('31')
  })

  historyTest('has in it what ends just before its last', async (history) => {
    expect(await oneEnds(history, { endsMs: 7, othersMs: 5, lastMs: 10, id: 'first' })).toBe('31')
  })

  historyTest('leaves what ends at the time of its last, and comes after it, to the next', async (history) => {
    expect(await oneEnds(history, { endsMs: 10, othersMs: 10, id: 'last' })).toBe('1031')
  })

  historyTest('leaves what ends after its last to the next', async (history) => {
    expect(await oneEnds(history, { endsMs: 11, othersMs: 10, id: 'first' })).toBe('1031')
  })
})

historyTest(
  'a grant ends, and leaves what is free, before calls whose time is over at that moment',
  async (history) => {
    const { account, clock, wallet } = history
    const at = clock.nowMs + 10
    const rollover = {
      percentMillionths: 1_000_000,
      minAtoms: 0n,
      maxAtoms: 1000n,
      expiresAtMs: at + 5000,
      priority: 0,
      id: account.call(0n).id,
    }
    await account.grant(100n, { expiresAtMs: at + 10, rollover })
    await account.hold(60n, { onTimeout: 'release', deadlineMs: 20 })
    clock.nowMs = at + 10
    await wallet.sweep(account.account)
    expect(grantsOf(history).map(({ freeAtoms }) => freeAtoms)).toEqual([0n, 40n])
  },
)

describe('an act that sweeps first', () => {
  historyTest('arms nothing again where the balance is what it was', async (history) => {
    const { account, clock, told } = history
    await account.grant(100n)
    await account.hold(50n)
    await account.hold(1000n)
    await account.hold(1n, { deadlineMs: 10, onTimeout: 'release' })
    clock.nowMs += 10
    await account.hold(2n)
    await account.hold(1000n)
    expect(told()).toEqual(['wallet.exhausted'])
  })

  historyTest('does not take for new money what took the place of as much', async (history) => {
    const { account, clock, model, spend } = history
    const lows = [{ kind: 'granted', millionths: 200_000 }] as const
    const at = clock.nowMs + 1000
    await account.grant(100n, { expiresAtMs: at })
    await account.grant(10n, { effectiveAtMs: at })
    await spend(90n, watch({ lows }))
    clock.nowMs = at
    await account.hold(1n, watch({ lows, quiet: true }))
    expect(model.watches[0]?.[1].split(' ')[3]).toBe('100')
  })

  historyTest('has as much debt as open calls may come to owe', async (history) => {
    const { account, model, spend } = history
    await spend(5n, NEGATIVE)
    await account.hold(5n, NEGATIVE)
    await account.hold(1n, NEGATIVE)
    expect(model.balancesAsTheyAre[0]).toMatchObject({ debtAtoms: 5n })
  })
})
