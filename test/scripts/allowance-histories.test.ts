/** Random lives of an account with allowances: two gateways, a Redis that comes and goes, edits, calls, time. */
import { expect } from 'vitest'
import { type Allowance, allowancePeriods, makeAllowance } from '../../src/core/allowance.ts'
import { SILENT_LOG } from '../../src/log.ts'
import { AllowanceKeeper, type AllowanceKeeperOptions } from '../../src/wallet/allowance-keeper.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import { type Grant, WalletUnavailable } from '../../src/wallet/wallet-types.ts'
import { type Random, randomFrom } from '../model/random.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const HISTORIES = Number(process.env['ALLOWANCE_HISTORIES'] ?? 40)
const SEED = Number(process.env['ALLOWANCE_SEED'] ?? 1)
const STEPS = 25
const START_MS = 4_000_000_000_000
const DAY_MS = 86_400_000

function randomAllowance({ pick, below, chance }: Random): Allowance {
  const every = pick(['day', 'week', 'month', 'quarter', 'year'] as const)
  return makeAllowance(
    {
      unit: chance(0.1) ? 'EUR' : 'USD',
      scale: 9,
      amountAtoms: BigInt(1 + below(1000)),
      every,
      timezone: pick(['UTC', 'Europe/Paris', 'America/New_York', 'Australia/Lord_Howe']),
      anchor: every === 'day' ? 1 : 1 + below(every === 'week' ? 7 : 31),
      funding: pick(['promotional', 'invoiced', 'external'] as const),
      rollover: chance(0.5)
        ? { percentMillionths: below(1_000_001), minAtoms: BigInt(below(10)), maxAtoms: BigInt(10 + below(500)) }
        : undefined,
    },
    pick(['keep', 'top_up', 'replace'] as const),
  )
}

/** Redis goes away before or after a write, as long as `faults` says so. */
function shaky(random: Random, faults: { on: boolean }): AllowanceKeeperOptions['wallet'] {
  const away = () => faults.on && random.chance(0.15)
  const unsure = async <T>(does: () => Promise<T>): Promise<T> => {
    if (away()) throw new WalletUnavailable('away before', false)
    const answer = await does()
    if (away()) throw new WalletUnavailable('away after', true)
    return answer
  }
  const { wallet } = harness
  return {
    grants: (account) => unsure(() => wallet.grants(account)),
    grant: (request) => unsure(() => wallet.grant(request)),
    voidGrant: (request) => unsure(() => wallet.voidGrant(request)),
  }
}

const isWhole = ({ key, labels }: Grant): boolean =>
  key?.startsWith('allowance:') === true && !('allowance_top_up' in labels)

/** Never two at once, now or to come; and one now, where there is to be one. */
async function oneAtATime(account: TestAccount, allowance: Allowance | undefined, complete: boolean): Promise<void> {
  const { nowMs } = harness.clock
  const live = (await account.grants()).filter(
    (grant) => isWhole(grant) && (grant.state === 'usable' || grant.state === 'pending'),
  )
  const wallets = new Set(live.map(({ unit }) => unit))
  for (const unit of wallets) {
    const inWallet = live.filter((grant) => grant.unit === unit).sort((a, b) => a.effectiveAtMs - b.effectiveAtMs)
    for (const [i, grant] of inWallet.entries()) {
      const next = inWallet[i + 1]
      if (next) expect(grant.expiresAtMs).toBeLessThanOrEqual(next.effectiveAtMs)
    }
  }
  if (!complete || !allowance) return
  const [current] = allowancePeriods(allowance, nowMs)
  const running = live.filter(
    ({ unit, effectiveAtMs, expiresAtMs }) =>
      unit === allowance.unit && effectiveAtMs <= nowMs && nowMs < (expiresAtMs ?? 0),
  )
  expect(running).toHaveLength(1)
  const [one] = running as [Grant]
  if (allowance.onChange === 'replace') {
    expect([one.amountAtoms, one.expiresAtMs]).toEqual([allowance.amountAtoms, current.endMs])
  }
}

async function live(seed: number): Promise<void> {
  const random = randomFrom(seed)
  const { below, chance } = random
  const account = accountOf(harness, `history-${seed}`)
  // Its own time, so that a history is the same alone.
  harness.clock.nowMs = START_MS + below(1461) * DAY_MS
  let allowance: Allowance | undefined = randomAllowance(random)
  const faults = { on: true }
  const redis = { call: (command: string, ...args: (string | number)[]) => harness.redis.call(command, ...args) }
  const start = (): AllowanceKeeper =>
    new AllowanceKeeper({
      wallet: shaky(random, faults),
      redis: redis as AllowanceKeeperOptions['redis'],
      accounts: () => new Map([[account.account, { plan: { allowance } }]]),
      log: SILENT_LOG,
      nowMs: () => harness.clock.nowMs,
    })
  const gateways = [start(), start()]
  const look = () =>
    Promise.all(gateways.map((keeper) => (chance(0.5) ? keeper.tick() : keeper.ensure(account.account))))
  for (let step = 0; step < STEPS; step++) {
    if (chance(0.2)) allowance = chance(0.15) ? undefined : randomAllowance(random)
    if (chance(0.2)) gateways[below(2)] = start()
    if (chance(0.4)) harness.clock.nowMs += below(40 * DAY_MS)
    if (chance(0.3)) {
      const { endMs } = allowancePeriods(allowance ?? randomAllowance(random), harness.clock.nowMs)[0]
      // No further than a quarter, so that years do not carry the clock out of any calendar.
      harness.clock.nowMs = Math.min(endMs - below(2), harness.clock.nowMs + 92 * DAY_MS)
    }
    faults.on = chance(0.6)
    await look()
    await oneAtATime(account, allowance, !faults.on)
    if (!chance(0.5)) continue
    const call = account.call(BigInt(1 + below(300)))
    const held = await harness.wallet.hold(call)
    if (held.status === 'held') await account.settle(call, call.fixedAtoms)
  }
  for (const entry of await account.ledger()) expect(entry.legs.reduce((sum, leg) => sum + leg.atoms, 0n)).toBe(0n)
  await harness.wallet.sweep(account.account)
  expect(replayLedger(await account.ledger(), harness.clock.nowMs).balances).toEqual(
    await harness.wallet.balances(account.account),
  )
}

redisTest(
  `in ${HISTORIES} random histories there are never two allowances at once, and one wherever there is to be one`,
  async () => {
    for (let seed = SEED; seed < SEED + HISTORIES; seed++) {
      try {
        await live(seed)
      } catch (error) {
        throw new Error(`ALLOWANCE_SEED=${seed} ALLOWANCE_HISTORIES=1`, { cause: error })
      }
    }
  },
  180_000,
)
