/**
 * Random histories against the scripts. After every step: reads before and after a sweep agree, the ledger rebuilds the
 * state, and the invariants of the wallet hold. A failing seed is printed; run it with HISTORY_SEED.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { idTimeMs } from '../../src/core/ids.ts'
import { replayLedger } from '../../src/wallet/replay.ts'
import type { Balance, Grant, HoldRequest, LedgerEntry, OpenHold, SettleResult } from '../../src/wallet/wallet-types.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { accountOf, type TestAccount, type TestWallet, testWallet } from '../support/wallet.ts'

const HISTORIES = Number(process.env['HISTORIES'] ?? 25)
const STEPS = 120
const firstSeed = Number(process.env['HISTORY_SEED'] ?? Math.floor(Math.random() * 1e9))
const seeds = process.env['HISTORY_SEED'] ? [firstSeed] : Array.from({ length: HISTORIES }, (_, i) => firstSeed + i)

let server: TestRedis
let harness: TestWallet
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  harness = testWallet(server.url)
})
afterAll(async () => {
  harness?.close()
  await server?.stop()
})

/** mulberry32: small, and the same everywhere. */
function randomFrom(seed: number) {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number): number => Math.floor(next() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  return { below, pick, chance: (p: number): boolean => next() < p }
}
type Random = ReturnType<typeof randomFrom>

interface History {
  readonly account: TestAccount
  readonly random: Random
  readonly open: HoldRequest[]
  readonly settled: {
    readonly request: HoldRequest
    readonly final: bigint
    readonly result: SettleResult
    readonly atMs: number
  }[]
  readonly log: string[]
}

const POLICIES: readonly Partial<HoldRequest>[] = [
  { onExhausted: { mode: 'block' } },
  { onExhausted: { mode: 'negative', floorAtoms: -300n } },
  { onExhausted: { mode: 'overflow', capAtoms: 400n, period: 'month', multiplier: '1.25' }, overflowPeriod: '2027-01' },
  { onExhausted: { mode: 'flag' } },
  { onExhausted: { mode: 'postpaid' } },
  { onExhausted: { mode: 'block' }, observe: true },
]

const amount = (random: Random, most: number): bigint => (random.chance(0.1) ? 0n : BigInt(random.below(most)))

const STEP: Readonly<Record<string, (history: History) => Promise<unknown>>> = {
  async grant({ account, random }) {
    const now = harness.clock.nowMs
    const effectiveAtMs = random.chance(0.3) ? now + random.below(3000) : undefined
    const request = account.grantRequest(BigInt(1 + random.below(500)), {
      funding: random.pick(['promotional', 'invoiced', 'external']),
      priority: random.pick([5, 10, 10]),
      effectiveAtMs,
      expiresAtMs: random.chance(0.6) ? (effectiveAtMs ?? now) + 1 + random.below(6000) : undefined,
      appliesTo: random.pick([
        undefined,
        undefined,
        { models: ['gpt-*'] },
        { models: ['claude-*'] },
        { labels: { team: 'platform' } },
      ]),
      costBasis: random.pick([undefined, '0.5', '9', '10']),
    })
    return harness.wallet.grant(request)
  },
  async hold(history) {
    const { account, random } = history
    const least = random.below(5)
    const request = account.call(amount(random, 150), {
      ...random.pick(POLICIES),
      perTokenAtoms: BigInt(random.below(4)),
      leastTokens: least,
      wantTokens: least + random.below(40),
      totalTokens: least + 40,
      floorAtoms: BigInt(random.below(60)),
      onTimeout: random.pick(['known', 'known', 'release', 'full']),
      deadlineMs: 1 + random.below(4000),
    })
    const result = await harness.wallet.hold(request)
    if (result.status === 'held') history.open.push(request)
    return result
  },
  async checkpoint({ account, open, random }) {
    const request = random.pick(open)
    if (!request) return undefined
    const extend = random.chance(0.5) ? { perTokenAtoms: 2n, leastTokens: random.below(5), wantTokens: 20 } : undefined
    return account.checkpoint(request.id, 1 + random.below(1000), amount(random, 200), extend)
  },
  async settle(history) {
    const { account, open, settled, random } = history
    const request = random.pick(open)
    if (!request) return undefined
    const final = amount(random, 250)
    const result = await account.settle(request, final)
    if (!result.replay && result.status !== 'hold_not_open' && result.status !== 'conflict') {
      settled.push({ request, final, result, atMs: harness.clock.nowMs })
    }
    return result
  },
  async void({ account, open, random }) {
    const request = random.pick(open)
    return request && account.void(request.id)
  },
  orphan: async ({ account, random }) => account.settle(account.terms(random.pick(POLICIES)), amount(random, 100)),
  async replaySettle({ account, settled, random }) {
    const past = random.pick(settled)
    if (!past) return undefined
    const again = await account.settle(past.request, past.final)
    const { status, seq } = past.result
    // After a day the answer comes from the ledger, and a late settle's figures are those of its entry.
    const recent = harness.clock.nowMs - past.atMs < 3_600_000
    expect(again).toEqual(recent ? { ...past.result, replay: true } : { ...again, status, seq, replay: true })
    return again
  },
  async replayHold({ open, random }) {
    const request = random.pick(open)
    if (!request) return undefined
    const again = await harness.wallet.hold(request)
    // After a day its records are gone, or an unmatched settle closed it: refused, never held twice.
    const refused = again.status === 'id_too_old' || again.status === 'id_closed'
    if (refused) expect(harness.clock.nowMs).toBeGreaterThan((idTimeMs(request.id) ?? 0) + 3_600_000)
    else expect(again).toMatchObject({ status: 'held', replay: true })
    return again
  },
  async voidGrant({ account, random }) {
    const grant = random.pick(await account.grants())
    return grant && account.voidGrant(grant.id)
  },
  adjust: async ({ account, random }) =>
    account.adjust(BigInt(1 + random.below(200)) * (random.chance(0.5) ? 1n : -1n)),
  freeze: async ({ account, random }) => account.freeze(random.chance(0.2)),
  async wait({ random }) {
    harness.clock.nowMs += random.chance(0.02) ? 90_000_000 : random.pick([0, 1, 10, 500, 3000])
  },
  async clockBack({ random }) {
    harness.clock.nowMs -= random.below(50)
  },
}
const WEIGHTED = Object.entries({
  grant: 12,
  hold: 30,
  checkpoint: 8,
  settle: 20,
  void: 5,
  orphan: 2,
  replaySettle: 4,
  replayHold: 3,
  voidGrant: 2,
  adjust: 3,
  freeze: 1,
  wait: 10,
  clockBack: 1,
}).flatMap(([name, weight]) => Array.from({ length: weight }, () => name))

interface Reads {
  readonly balances: readonly Balance[]
  readonly grants: readonly Grant[]
  readonly holds: readonly OpenHold[]
}

async function readAll(account: TestAccount): Promise<Reads> {
  const [balances, grants, holds] = await Promise.all([
    harness.wallet.balances(account.account),
    account.grants(),
    account.holds(),
  ])
  return { balances, grants, holds }
}

async function sweepAll(account: TestAccount): Promise<void> {
  while ((await harness.wallet.sweep(account.account)).swept > 0);
}

const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n)

function checkReads({ balances, grants, holds }: Reads): void {
  for (const balance of balances) {
    const held = sum(holds.filter((hold) => hold.unit === balance.unit).map((hold) => hold.heldAtoms))
    expect(balance.heldAtoms).toBe(held)
    for (const [name, value] of Object.entries(balance)) {
      if (typeof value === 'bigint' && value < 0n) throw new Error(`${name} is ${value}`)
    }
  }
  for (const grant of grants) {
    const inHolds = sum(
      holds
        .flatMap((hold) => hold.slices)
        .filter((slice) => slice.grant === grant.id)
        .map((s) => s.atoms),
    )
    expect(grant.heldAtoms).toBe(inHolds)
    for (const part of [grant.freeAtoms, grant.consumedAtoms, grant.expiredAtoms, grant.voidedAtoms]) {
      expect(part).toBeGreaterThanOrEqual(0n)
    }
  }
}

/** The account's own time, which does not go back with the clock. */
async function accountTime(account: TestAccount): Promise<number> {
  const record = await harness.redis.hget(`tg:{${account.account}}:acct`, 'account')
  return Math.max(harness.clock.nowMs, Number(record?.split('|')[2]))
}

function checkLedger(entries: readonly LedgerEntry[], reads: Reads, nowMs: number): void {
  const replayed = replayLedger(entries, nowMs)
  expect(replayed.balances).toEqual(reads.balances)
  expect(replayed.openHolds.toSorted()).toEqual(reads.holds.map((hold) => hold.id).toSorted())
  for (const grant of reads.grants) {
    const { id, unit, amountAtoms, freeAtoms, heldAtoms, consumedAtoms, expiredAtoms, voidedAtoms } = grant
    expect(replayed.grants.find((other) => other.id === id)).toEqual({
      id,
      unit,
      amountAtoms,
      freeAtoms,
      heldAtoms,
      consumedAtoms,
      expiredAtoms,
      voidedAtoms,
    })
  }
}

/** Each hold has one end, and what was charged for a call in all is its final amount, at the multiplier for overage. */
function checkEnds(entries: readonly LedgerEntry[], history: History): void {
  const ends = entries.filter((entry) => ['settle', 'void', 'timeout'].includes(entry.type)).map((entry) => entry.op)
  expect(new Set(ends).size).toBe(ends.length)
  for (const { request, final, result } of history.settled) {
    // Too late to charge: the operator decides.
    if (result.status === 'unmatched') continue
    const net = sum(
      entries
        .filter((entry) => entry.op === request.id)
        .flatMap((e) => e.legs.filter((leg) => leg.account === 'consumed'))
        .map((l) => l.atoms),
    )
    expect(net).toBe(result.chargedAtoms)
    const over = result.overage?.mode === 'overflow' ? result.overage.atoms : 0n
    expect(result.chargedAtoms - over).toBeLessThanOrEqual(final)
    if (over === 0n) expect(net).toBe(final)
  }
}

test.skipIf(!redisAvailable).each(seeds)('a random history keeps every invariant (seed %i)', async (seed) => {
  const history: History = {
    account: accountOf(harness),
    random: randomFrom(seed),
    open: [],
    settled: [],
    log: [],
  }
  const { account } = history
  await account.grant(300n)
  for (let step = 0; step < STEPS; step++) {
    const name = history.random.pick(WEIGHTED)
    const answer = await STEP[name]?.(history)
    history.log.push(`${step} ${name} ${JSON.stringify(answer, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`)
    try {
      if (step % 4 !== 0) continue
      const seen = await readAll(account)
      await sweepAll(account)
      const swept = await readAll(account)
      expect(seen).toEqual(swept)
      checkReads(swept)
      const entries = await account.ledger()
      checkLedger(entries, swept, await accountTime(account))
      checkEnds(entries, history)
    } catch (error) {
      console.error(`seed ${seed}\n${history.log.slice(-12).join('\n')}`)
      throw error
    }
  }
})
