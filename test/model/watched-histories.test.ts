/** What a watched wallet makes known at the edges of its thresholds and times, which chance hardly comes to. */
import { describe, expect } from 'vitest'
import type { WalletAlerts } from '../../src/core/alerts.ts'
import type { BudgetCount, HoldRequest } from '../../src/wallet/wallet-types.ts'
import { watch } from '../support/watched-wallet.ts'
import { historyTests, type WrittenHistory } from './written-history.ts'

const historyTest = historyTests()
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

const overflow = (period: number): Partial<HoldRequest> => ({
  onExhausted: { mode: 'overflow', capAtoms: 1000n, period: 'month', multiplier: '1' },
  overflowPeriod: `${2096 + Math.floor(period / 12)}-${1 + (period % 12)}`,
})
const FLAG: Partial<HoldRequest> = { onExhausted: { mode: 'flag' } }
const NEGATIVE: Partial<HoldRequest> = { onExhausted: { mode: 'negative', floorAtoms: -1000n } }

/** Of a refund: its operation, and ids for grants that it may make. */
const by = ({ account: { account, call } }: WrittenHistory) => ({
  account,
  operationId: call(0n).id,
  reason: 'test',
  actor: 'test',
  grantId: call(0n).id,
  noteId: call(0n).id,
})

/** The clock goes on to the next full hour. */
function toFullHour({ clock }: WrittenHistory): void {
  clock.nowMs += HOUR_MS - (clock.nowMs % HOUR_MS)
}

historyTest('what one act makes known of several wallets comes in the order of their units', async (history) => {
  const { account, clock, model, wallet } = history
  const expiresAtMs = clock.nowMs + 10
  const units = Array.from({ length: 30 }, (_, i) => `unit${(i * 7) % 30}`)
  for (const unit of units) await account.grant(1n, { unit, expiresAtMs })
  clock.nowMs += 10
  await wallet.sweep(account.account)
  expect(model.events.map(({ unit }) => unit)).toEqual([...units].sort())
})

describe('overage.started', () => {
  historyTest('the last 32 that were told are told once, and the oldest is forgotten beyond them', async (history) => {
    const { spend, told } = history
    for (let period = 0; period < 32; period++) await spend(1n, overflow(period))
    for (let period = 0; period < 32; period++) await spend(1n, overflow(period))
    expect(told()).toHaveLength(32)
    await spend(1n, overflow(32))
    await spend(1n, overflow(1))
    expect(told()).toHaveLength(33)
    await spend(1n, overflow(0))
    expect(told()).toHaveLength(34)
    await spend(1n, overflow(1))
    expect(told()).toHaveLength(35)
  })

  historyTest('is not told of what a timeout posted once the debt is paid by the act that sweeps', async (history) => {
    const { account, clock, told } = history
    await account.hold(5n, { ...NEGATIVE, onTimeout: 'full', deadlineMs: 10 })
    clock.nowMs += 10
    await account.grant(10n, { repaysDebt: true })
    expect(told()).toEqual(['overage.started'])
  })

  historyTest(
    'says of a late end what comes on top of the timeout, where that goes to another period',
    async (history) => {
      const { account, clock, wallet, model, told } = history
      const call = account.call(5n, { ...overflow(9), onTimeout: 'full', deadlineMs: 10 })
      await wallet.hold(call)
      clock.nowMs += 10
      await wallet.sweep(account.account)
      const [period, heir] = [overflow(9).overflowPeriod ?? '', overflow(10).overflowPeriod ?? '']
      await wallet.closePeriod({ ...by(history), unit: 'USD', period, heir, force: true })
      await account.settle(call, 8n, { terms: call })
      expect(told()).toEqual(['overage.started', 'overage.started'])
      expect(model.events.map(({ fields }) => [fields['period'], fields['amount']])).toEqual([
        [period, '0.000000005'],
        [heir, '0.000000003'],
      ])
    },
  )

  for (const [mode, more] of Object.entries({ flag: FLAG, overflow: overflow(0), negative: NEGATIVE })) {
    historyTest(`new money arms it again only where nothing is owed, by ${mode}: an atom is owed`, async (history) => {
      const { account, spend, told } = history
      await spend(1n, more)
      await account.grant(10n, { repaysDebt: false })
      await spend(11n, more)
      expect(told().filter((event) => event === 'overage.started')).toHaveLength(1)
    })
  }
})

describe('wallet.low by hours left', () => {
  const hours = (count: number) => watch({ lows: [{ kind: 'hours', hours: count }] })
  /** What a minute took, as an alert says it that was not there before: the balance lasts for no such time. */
  const burnAfter = async (
    { account, spend, model, steps, lastHold }: WrittenHistory,
    atoms: bigint,
  ): Promise<unknown> => {
    // As long as it asks for the same, a call lets nothing be forgotten.
    await spend(atoms, { alerts: lastHold().alerts })
    await account.hold(0n, hours(10_000_000_000_000 + steps.length))
    return model.events.at(-1)?.fields['per_minute']
  }

  historyTest('is told of less than so many whole minutes', async (history) => {
    const { account, spend, told } = history
    toFullHour(history)
    await account.grant(150_000n)
    await spend(6000n, hours(24))
    expect(told()).toEqual([])
    await spend(1n, hours(24))
    expect(told()).toEqual(['wallet.low'])
  })

  historyTest('is of whole atoms a minute, and of one at least', async (history) => {
    toFullHour(history)
    await history.account.grant(100_000n)
    // From here on the hour is known.
    await history.account.hold(0n, hours(1))
    expect(await burnAfter(history, 59n)).toBeUndefined()
    expect(await burnAfter(history, 1n)).toBe('0.000000001')
    expect(await burnAfter(history, 5939n)).toBe('0.000000099')
  })

  historyTest('is not told of an empty wallet that took nothing for an hour', async (history) => {
    const { account, clock, spend, told } = history
    toFullHour(history)
    await account.grant(10n)
    await spend(10n)
    clock.nowMs += 3 * HOUR_MS
    await spend(0n, hours(24))
    expect(told()).toEqual(['wallet.exhausted'])
  })

  historyTest('counts the hour before and what has passed of this one, and no hour further back', async (history) => {
    const { account, clock } = history
    toFullHour(history)
    await account.grant(10_000_000n)
    await account.hold(0n, hours(1))
    expect(await burnAfter(history, 6_000n)).toBe('0.0000001') // of 60 minutes
    clock.nowMs += HOUR_MS
    expect(await burnAfter(history, 12_000n)).toBe('0.0000003') // 18,000 of 60
    clock.nowMs += HOUR_MS - 1
    expect(await burnAfter(history, 5_800n)).toBe('0.0000002') // 23,800 of 119
    clock.nowMs += 1
    expect(await burnAfter(history, 200n)).toBe('0.0000003') // 18,000 of 60
    clock.nowMs += 2 * HOUR_MS
    expect(await burnAfter(history, 18_000n)).toBe('0.0000003') // of 60
    clock.nowMs += 30 * MINUTE_MS
    expect(await burnAfter(history, 9_000n)).toBe('0.0000003') // 27,000 of 90
    clock.nowMs += DAY_MS
    expect(await burnAfter(history, 9_000n)).toBe('0.0000001') // of 90
  })

  historyTest('is not told by an act that swept and changed nothing else of the balance', async (history) => {
    const { account, clock, wallet, told } = history
    toFullHour(history)
    const appliesTo = { models: ['another'] }
    await account.grant(100n, { appliesTo })
    await account.grant(50n, { appliesTo, expiresAtMs: clock.nowMs + 10 })
    const call = account.call(6_000n, { onExhausted: { mode: 'postpaid' }, ...hours(24) })
    await wallet.hold(call)
    clock.nowMs += 10
    await account.settle(call, 6_000n)
    expect(told()).toEqual([])
  })

  historyTest('is exact where what was posted passes a thousand million million', async (history) => {
    const { account, clock, spend } = history
    toFullHour(history)
    await account.grant(9_000_000_000_000_000n)
    await spend(999_999_999_999_000n, hours(1))
    clock.nowMs += 2 * HOUR_MS
    expect(await burnAfter(history, 5_999n)).toBe('0.000000099')
  })

  historyTest('is of as much as there is a number for', async (history) => {
    const { account } = history
    toFullHour(history)
    await account.grant(9_000_000_000_000_000n)
    await account.hold(0n, hours(1))
    expect(await burnAfter(history, 8_000_000_000_000_000n)).toBe('133333.333333333')
    await account.grant(8_000_000_000_000_000n)
    expect(await burnAfter(history, 8_000_000_000_000_000n)).toBe('150119.987579016')
  })

  historyTest('is of nothing where more was given back', async (history) => {
    const { account, clock, model, wallet, spend } = history
    toFullHour(history)
    await account.grant(100_000n)
    await spend(60_000n)
    const charge = model.charges.at(-1) ?? 0
    clock.nowMs += 3 * HOUR_MS
    await account.hold(0n, hours(1))
    await wallet.refund({ ...by(history), chargeSeq: charge, amountAtoms: 30_000n, mode: 'original' })
    expect(await burnAfter(history, 6_000n)).toBeUndefined()
    expect(await burnAfter(history, 30_000n)).toBe('0.0000001')
  })
})

describe('wallet.low by a share', () => {
  const fifth = watch({ lows: [{ kind: 'granted', millionths: 200_000 }] })

  historyTest('is told of a wallet that held one atom, and not of one that never held any', async (history) => {
    const { account, spend, told } = history
    await spend(5n, { ...NEGATIVE, ...fifth })
    await spend(5n, { ...NEGATIVE, ...fifth })
    expect(told()).toEqual(['overage.started'])
    await account.grant(1n, { repaysDebt: false })
    await spend(1n, { ...NEGATIVE, ...fifth })
    expect(told()).toEqual(['overage.started', 'wallet.low', 'wallet.exhausted'])
  })

  historyTest('begins anew with what is given back to a wallet whose new money all went to debt', async (history) => {
    const { account, model, wallet, spend, told } = history
    await account.grant(100n)
    await spend(100n, { ...NEGATIVE, ...fifth })
    const charge = model.charges.at(-1) ?? 0
    await spend(50n, { ...NEGATIVE, ...fifth })
    await account.grant(50n, { repaysDebt: true })
    await wallet.refund({ ...by(history), chargeSeq: charge, amountAtoms: 50n, mode: 'original' })
    expect(model.balancesAsTheyAre[0]).toMatchObject({ balanceAtoms: 50n, debtAtoms: 0n })
    await spend(40n, { ...NEGATIVE, ...fifth })
    expect(told()).toEqual(['wallet.low', 'wallet.exhausted', 'overage.started', 'wallet.low'])
  })
})

describe('top_up.requested', () => {
  type TopUp = NonNullable<WalletAlerts['topUp']>
  historyTest('is asked for below what the plan says, and not at it', async (history) => {
    const { account, clock, spend, told } = history
    const start = clock.nowMs
    const terms = { belowAtoms: 50n, amountAtoms: 1n, atMostAtoms: 10n, waitMs: 1000 }
    const topUp: TopUp = { ...terms, bounds: [0, start, start + DAY_MS, start + 2 * DAY_MS] }
    await account.grant(100n)
    await spend(50n, watch({ topUp }))
    expect(told()).toEqual([])
    await spend(1n, watch({ topUp }))
    expect(told()).toEqual(['top_up.requested'])
  })

  historyTest('waits for a day at most', async (history) => {
    const { account, clock, wallet, spend, told } = history
    const start = clock.nowMs
    const topUp: TopUp = {
      belowAtoms: 50n,
      amountAtoms: 1n,
      atMostAtoms: 100n,
      waitMs: 50_000_000,
      bounds: [start - 100 * DAY_MS, start, start + 100 * DAY_MS, start + 200 * DAY_MS],
    }
    await account.grant(10n)
    await spend(1n, watch({ topUp }))
    for (const wait of [50_000_000, DAY_MS, DAY_MS]) {
      clock.nowMs += wait
      await wallet.sweep(account.account)
    }
    expect(told().filter((event) => event === 'top_up.requested')).toHaveLength(4)
  })

  historyTest('counts one atom that was asked for, though funds came', async (history) => {
    const { account, clock, spend, told } = history
    const start = clock.nowMs
    const terms = { belowAtoms: 50n, amountAtoms: 1n, atMostAtoms: 1n, waitMs: 1000 }
    const topUp: TopUp = { ...terms, bounds: [0, start, start + DAY_MS, start + 2 * DAY_MS] }
    await account.grant(10n)
    await spend(1n, watch({ topUp }))
    await account.grant(100n)
    await spend(80n, watch({ topUp }))
    expect(told()).toEqual(['top_up.requested'])
  })

  historyTest('is due no more where the plan does not ask for it', async (history) => {
    const { account, clock, model, wallet, spend } = history
    const start = clock.nowMs
    const terms = { belowAtoms: 50n, amountAtoms: 1n, atMostAtoms: 1n, waitMs: 1000 }
    const topUp: TopUp = { ...terms, bounds: [0, start, start + DAY_MS, start + 2 * DAY_MS] }
    const lows = [{ kind: 'hours', hours: 1 }] as const
    await account.grant(10n)
    await spend(1n, watch({ lows, topUp }))
    await account.hold(1n, { ...watch({ lows }), deadlineMs: 2 * HOUR_MS })
    const { seq } = model
    clock.nowMs += HOUR_MS
    await wallet.sweep(account.account)
    expect(model.seq).toBe(seq)
  })

  historyTest('counts by the period that it is by the time of Redis, whatever the gateway knew', async (history) => {
    const { account, clock, wallet, spend, told } = history
    const start = clock.nowMs
    const ending = (offsetMs: number): Partial<HoldRequest> =>
      watch({
        topUp: {
          belowAtoms: 50n,
          amountAtoms: 1n,
          atMostAtoms: 1n,
          waitMs: 1,
          bounds: [0, 1, 2, 3].map((period) => start + offsetMs + period * DAY_MS) as [number, number, number, number],
        },
      })
    await account.grant(10n)
    // Each gateway is further ahead: the period that it is for Redis is the last one that is known, and then the first.
    for (const offset of [-4, -3, -2, -1, 0, 1]) {
      await spend(0n, ending(offset * DAY_MS))
      clock.nowMs += 10
      await spend(0n, ending(offset * DAY_MS))
    }
    expect(told()).toEqual(['top_up.requested'])
    // The first period that the last gateway knows begins, and is asked for in; then the next.
    for (const sweepMs of [start + DAY_MS, start + DAY_MS + 10, start + 2 * DAY_MS]) {
      clock.nowMs = sweepMs
      await wallet.sweep(account.account)
    }
    expect(told()).toEqual(['top_up.requested', 'top_up.requested', 'top_up.requested'])
  })
})

describe('events of budgets', () => {
  const budget = (more: Partial<BudgetCount>): BudgetCount => ({
    name: 'b',
    measure: 'tokens',
    field: 'b~tokens~lifetime~',
    limit: 10n,
    action: 'flag',
    lifeMs: 0,
    group: '',
    valuesMax: 1,
    window: { kind: 'lifetime' },
    ...more,
  })
  /** A call of so many tokens, which costs nothing. */
  const use = ({ account }: WrittenHistory, tokens: bigint, counted: BudgetCount) => {
    const amounts = [{ measure: 'tokens', fixed: tokens, perToken: 0n, floor: 0n }]
    return account.hold(0n, { budgets: [counted], amounts })
  }

  for (const [name, window] of [
    ['rolling86400000', { kind: 'rolling', lengthMs: DAY_MS, partMs: 2 * HOUR_MS }],
    ['lifetime', { kind: 'lifetime' }],
  ] as const) {
    historyTest(`a day is no rate: budget.exceeded is told once in it, ${name}`, async (history) => {
      const { clock, told } = history
      const day = budget({ field: `b~tokens~${name}~`, window })
      for (const laterMs of [0, 1, DAY_MS - 2, 1, DAY_MS]) {
        clock.nowMs += laterMs
        await use(history, 11n, day)
      }
      expect(told()).toHaveLength(name === 'lifetime' ? 1 : 3)
    })
  }

  historyTest('what an hour of a calendar takes is a rate; a day of 23 hours is none', async (history) => {
    const { clock, told } = history
    const calendar = (name: string, lengthMs: number) => {
      const start = clock.nowMs - 1
      const bounds = [start - lengthMs, start, start + lengthMs, start + 2 * lengthMs] as const
      return budget({ field: `b~tokens~${name}~`, window: { kind: 'calendar', bounds } })
    }
    await use(history, 11n, calendar('hour UTC 1 1', HOUR_MS))
    expect(told()).toEqual([])
    await use(history, 11n, calendar('day Europe/Paris 1 1', 23 * HOUR_MS))
    expect(told()).toEqual(['budget.exceeded'])
  })

  historyTest('budget.exceeded is told where as much is held as was spent', async (history) => {
    const { account, told } = history
    const counted = budget({ action: 'block', measure: 'USD', field: 'b~USD~lifetime~' })
    await account.grant(100n)
    await history.spend(4n, { budgets: [counted] })
    await account.hold(4n, { budgets: [counted] })
    await account.hold(7n, { budgets: [counted] })
    expect(told()).toEqual(['budget.exceeded'])
  })

  historyTest('a call that is refused once more changes nothing, not even the time', async (history) => {
    const { account, clock, model, told } = history
    const start = clock.nowMs
    const counted = budget({ action: 'block', measure: 'USD', field: 'b~USD~lifetime~' })
    await account.grant(100n)
    await history.spend(8n, { budgets: [counted] })
    await account.hold(3n, { budgets: [counted] })
    clock.nowMs += 500
    await account.hold(3n, { budgets: [counted] })
    clock.nowMs -= 490
    await account.hold(1n)
    expect([told(), model.lastMs(0)]).toEqual([['budget.exceeded'], start + 10])
  })

  historyTest('budget.values is told again a day later', async (history) => {
    const { clock, told } = history
    let value = 0
    const another = () => {
      const field = `b~tokens~lifetime~run~r${++value}`
      return use(history, 1n, budget({ field, group: 'b~tokens', valuesMax: 2, limit: 100n }))
    }
    for (const laterMs of [0, 0, DAY_MS - 1, 1, 0]) {
      clock.nowMs += laterMs
      await another()
    }
    expect(told()).toEqual(['budget.values', 'budget.values'])
  })
})
