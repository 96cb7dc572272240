/** Ledgers that are trimmed in Redis: what leaves, what never does, and that nothing else can tell the difference. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { accountDirectory, listFiles } from '../../src/books/account-files.ts'
import { BooksArchive } from '../../src/books/archive.ts'
import { BooksTarget } from '../../src/books/books-target.ts'
import { Exporter } from '../../src/books/exporter.ts'
import { BooksKeeper, type KeeperOptions } from '../../src/books/keeper.ts'
import { verifyBooks } from '../../src/books/verify.ts'
import { newId } from '../../src/core/ids.ts'
import { type Log, SILENT_LOG } from '../../src/log.ts'
import { ledgerBetween } from '../../src/reports/ledger-scan.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { createScriptCaller } from '../../src/wallet/script-caller.ts'
import { StatementBuilder } from '../../src/wallet/statement.ts'
import { EntriesMissing } from '../../src/wallet/wallet-types.ts'
import { BUDGETS } from '../support/filled-account.ts'
import { waitFor } from '../support/wait-for.ts'
import { accountOf, type TestAccount, wholeLedger } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
let path = ''
let drift: (readonly [string, number])[] = []
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'trim-'))
  drift = []
})
afterEach(() => rm(path, { recursive: true, force: true }))

let names = 0

/** A wallet that reads on in the books, and what fills and trims them. */
function books(account: string, more: Partial<KeeperOptions> = {}) {
  const { redis, clock } = harness
  const testClock = () => clock.nowMs
  const archive = new BooksArchive([path])
  const wallet = createWallet(redis, { testClock, archive })
  const scripts = createScriptCaller(redis, { testClock, archive })
  const target = new BooksTarget(redis, { name: `trim-${++names}`, path })
  const shared = { redis, scripts, accounts: async () => [account], log: SILENT_LOG, nowMs: testClock }
  const exporter = new Exporter({ ...shared, target })
  const keeper = new BooksKeeper({
    ...shared,
    targets: [target],
    wallet,
    keepMs: 7 * DAY_MS,
    freezeOnDrift: true,
    onDrift: (of, differences) => drift.push([of, differences]),
    ...more,
  })
  const keep = async () => {
    await exporter.round()
    await keeper.keep(account)
  }
  return { wallet, exporter, keeper, keep, of: accountOf({ ...harness, wallet }, account) }
}

async function call(account: TestAccount, atoms = 7n) {
  const request = account.call(10n)
  await account.hold(10n, request)
  return { request, settled: await account.settle(request, atoms) }
}

async function firstSeq(account: string): Promise<number> {
  const [first] = await harness.redis.xrange(`tg:{${account}}:ledger`, '-', '+', 'COUNT', 1)
  return Number(first?.[0].split('-')[0])
}

/** An account with a week-old beginning that left Redis; `late` timed out then and may still be settled. */
async function trimmed() {
  const { clock } = harness
  const { account } = accountOf(harness)
  const made = books(account)
  await made.of.grant(1_000n)
  const charged = await call(made.of)
  const refunded = await call(made.of)
  const late = made.of.call(20n, { deadlineMs: 5, lateWindowMs: 30 * DAY_MS })
  await made.of.hold(20n, late)
  const open = made.of.call(30n, { deadlineMs: 20 * DAY_MS })
  await made.of.hold(30n, open)
  clock.nowMs += 8 * DAY_MS
  const recent = await call(made.of)
  const whole = await wholeLedger(made.wallet, account)
  await made.keep()
  expect(await firstSeq(account)).toBe(whole.length - 1)
  return { ...made, account, charged, refunded, late, open, recent, whole }
}

redisTest(
  'entries leave Redis that are old, exported and covered; the ledger, page by page, is the same as before',
  async () => {
    const { wallet, account, whole } = await trimmed()
    expect(await wholeLedger(wallet, account)).toEqual(whole)
    for (let after = 0; after <= whole.length; after++) {
      const page = await wallet.ledger(account, { afterSeq: after, limit: 3, type: undefined })
      expect(page).toEqual(whole.slice(after, after + 3))
      const settles = whole.filter(({ seq, type }) => seq > after && type === 'settle').slice(0, 2)
      expect(await wallet.ledger(account, { afterSeq: after, limit: 2, type: 'settle' })).toEqual(settles)
    }
    expect((await wallet.check(account)).differences).toEqual([])
  },
)

redisTest('a statement across the edge is, to the byte, the one before the trim', async () => {
  const { wallet, account, whole } = await trimmed()
  const text = (entries: typeof whole) =>
    [0, 4, 8].map((days) => {
      const builder = new StatementBuilder(4_000_000_000_000 + days * DAY_MS, Number.POSITIVE_INFINITY)
      for (const entry of entries) builder.add(entry)
      return JSON.stringify(builder.build(), (_, value) => (typeof value === 'bigint' ? String(value) : value))
    })
  expect(text(await wholeLedger(wallet, account))).toEqual(text(whole))
})

redisTest('a charge that was trimmed is refunded once, and no more than it came to', async () => {
  const { wallet, account, charged, of } = await trimmed()
  const refund = (amountAtoms: bigint | undefined, operationId = newId(harness.clock.nowMs)) =>
    wallet.refund({
      account,
      operationId,
      chargeSeq: charged.settled.seq,
      amountAtoms,
      mode: 'original',
      grantId: newId(harness.clock.nowMs),
      noteId: newId(harness.clock.nowMs),
      reason: 'test',
      actor: 'test',
    })
  const before = (await of.balance()).availableAtoms
  expect(await refund(5n)).toMatchObject({ status: 'done', value: { refundedAtoms: 5n, ofAtoms: 7n } })
  expect(await refund(3n)).toMatchObject({ status: 'refund_too_large' })
  expect(await refund(undefined)).toMatchObject({ status: 'done', value: { refundedAtoms: 7n } })
  expect((await of.balance()).availableAtoms).toBe(before + 7n)
  expect((await wallet.check(account)).differences).toEqual([])
})

redisTest('a call is settled whose hold was trimmed: an open one, and one that timed out', async () => {
  const { wallet, account, late, open, of } = await trimmed()
  expect(await of.settle(late, 12n)).toMatchObject({ status: 'late_settled', chargedAtoms: 12n })
  expect(await of.settle(late, 12n)).toMatchObject({ status: 'late_settled', replay: true, chargedAtoms: 12n })
  expect(await of.hold(30n, open)).toMatchObject({ status: 'held', replay: true, heldAtoms: 30n })
  expect(await of.settle(open, 11n)).toMatchObject({ status: 'settled', chargedAtoms: 11n })
  expect((await wallet.check(account)).differences).toEqual([])
})

redisTest(
  'a retry whose record is still there is answered from the books, and so is one whose record is gone',
  async () => {
    const { clock } = harness
    const { account } = accountOf(harness)
    const { of, keep, wallet } = books(account, { keepMs: -HOUR_MS })
    await of.grant(100n)
    const { request, settled } = await call(of)
    await of.grant(1n)
    await keep()
    expect(await firstSeq(account)).toBe(4)
    expect(await of.settle(request, 7n)).toEqual({ ...settled, replay: true, availableAtoms: 93n })
    expect(await of.settle(request, 8n)).toMatchObject({ status: 'conflict' })
    expect(await of.hold(10n, request)).toMatchObject({ status: 'held', replay: true, seq: 2, heldAtoms: 10n })
    clock.nowMs += 30 * DAY_MS
    await harness.redis.del(await harness.redis.keys(`tg:{${account}}:ops:*`))
    expect(await of.settle(request, 7n)).toMatchObject({ status: 'settled', replay: true, seq: 3, chargedAtoms: 7n })
    expect((await of.balance()).postedAtoms).toBe(7n)
    expect((await wallet.check(account)).differences).toEqual([])
  },
)

redisTest('where the books are not, what was trimmed is an error that says so', async () => {
  const { account, charged, recent } = await trimmed()
  const { wallet } = harness
  const first = wallet.ledger(account, { afterSeq: 0, limit: 10, type: undefined })
  await expect(first).rejects.toThrow(EntriesMissing)
  await expect(first).rejects.toThrow(/entries 1 to \d+ of .* are not in Redis any more, and not in the export/)
  const operation = { account, operationId: newId(harness.clock.nowMs), reason: 'test', actor: 'test' }
  const refund = {
    amountAtoms: 1n,
    mode: 'original',
    grantId: operation.operationId,
    noteId: operation.operationId,
  } as const
  await expect(wallet.refund({ ...operation, ...refund, chargeSeq: charged.settled.seq })).rejects.toThrow(
    EntriesMissing,
  )
  // What Redis has needs no books.
  expect(await wallet.refund({ ...operation, ...refund, chargeSeq: recent.settled.seq })).toMatchObject({
    status: 'done',
  })
  harness.clock.nowMs += 2 * HOUR_MS
  const latest = await call(accountOf(harness, account))
  const pages: number[] = []
  for await (const page of ledgerBetween(wallet, account, harness.clock.nowMs - HOUR_MS, Number.POSITIVE_INFINITY))
    pages.push(...page.map(({ seq }) => seq))
  expect(pages.slice(-2)).toEqual([latest.settled.seq - 1, latest.settled.seq])
  const before = ledgerBetween(wallet, account, harness.clock.nowMs - 30 * DAY_MS, Number.POSITIVE_INFINITY)
  await expect(before.next()).rejects.toThrow(EntriesMissing)
  expect((await wallet.check(account)).differences).toEqual([
    expect.objectContaining({ field: 'ledger', kept: expect.stringContaining('are not in Redis any more') }),
  ])
})

redisTest('nothing leaves Redis that is young, not exported, not covered, or the last', async () => {
  const { redis, clock } = harness
  const { account } = accountOf(harness)
  const [key, exported] = [`tg:{${account}}:ledger`, `tg:{${account}}:exported`]
  const scripts = createScriptCaller(redis, { testClock: () => clock.nowMs })
  const { of } = books(account)
  await of.grant(100n)
  await call(of)
  await call(of)
  const trim = (upTo: number, ids = 'a b', most = 1000) =>
    scripts.call('trim', [key, exported], [String(upTo), String(most), ids])
  const hash = '0'.repeat(64)
  expect(await trim(9)).toEqual(['not_exported', '0'])
  await redis.hset(exported, 'snapshot', 4, 'a', `3 ${hash}`)
  expect(await trim(9)).toEqual(['not_exported', '0'])
  expect(await trim(9, '')).toEqual(['not_exported', '0'])
  await redis.hset(exported, 'b', `2 ${hash}`)
  expect(await trim(0)).toEqual(['nothing', '0'])
  expect(await trim(1)).toEqual(['trimmed', '1'])
  expect(await trim(9)).toEqual(['trimmed', '2'])
  expect(await trim(9)).toEqual(['nothing', '0'])
  await redis.hset(exported, 'a', `5 ${hash}`, 'b', `5 ${hash}`)
  expect(await trim(9)).toEqual(['trimmed', '4'])
  await redis.hset(exported, 'snapshot', 5)
  expect(await trim(9)).toEqual(['nothing', '0'])
  expect(await redis.xlen(key)).toBe(1)
  await call(of)
  await redis.hset(exported, 'snapshot', 7, 'a', `7 ${hash}`, 'b', `7 ${hash}`)
  expect(await trim(9, 'a b', 1)).toEqual(['trimmed', '5'])
  expect(await redis.hget(exported, 'trimmed')).toBe('5')
})

redisTest(
  'an account that is not what its ledger says is frozen, with the reason in its ledger; nothing of it leaves',
  async () => {
    const { redis, clock } = harness
    const { account } = accountOf(harness)
    const { of, keep, wallet } = books(account, { keepMs: -HOUR_MS })
    await of.grant(100n)
    await call(of)
    await keep()
    expect(await firstSeq(account)).toBe(3)
    await redis.hset(
      `tg:{${account}}:acct`,
      'w:USD',
      ((await redis.hget(`tg:{${account}}:acct`, 'w:USD')) ?? '').replace('|93|', '|94|'),
    )
    await call(of)
    await keep()
    expect(drift).toEqual([[account, 1]])
    expect((await of.balance()).frozen).toBe(true)
    const freeze = (await wholeLedger(wallet, account)).at(-1)
    expect([freeze?.type, freeze?.actor]).toEqual(['freeze', 'books'])
    expect(freeze?.fields['reason']).toContain('USD.available (kept 0.000000087, ledger 0.000000086)')
    expect(await firstSeq(account)).toBe(3)
    expect((await of.hold(1n)).status).toBe('frozen')
    const entries = await redis.xlen(`tg:{${account}}:ledger`)
    await keep()
    // Once, and not at each look.
    expect(await redis.xlen(`tg:{${account}}:ledger`)).toBe(entries)
    await redis.hset(
      `tg:{${account}}:acct`,
      'w:USD',
      ((await redis.hget(`tg:{${account}}:acct`, 'w:USD')) ?? '').replace('|87|', '|86|'),
    )
    await keep()
    expect(drift.at(-1)).toEqual([account, 0])
    expect(await firstSeq(account)).toBe(6)
    clock.nowMs += 1
  },
)

redisTest(
  'where a snapshot cannot be written nothing leaves Redis, the log says why, and later it goes on',
  async () => {
    const { clock } = harness
    const { account } = accountOf(harness)
    const said: string[] = []
    const error: Log['error'] = (fields, message) => {
      said.push(`${message}: ${(fields['error'] as NodeJS.ErrnoException).code}`)
    }
    const made = books(account, { log: { ...SILENT_LOG, error } })
    await made.of.grant(1_000n)
    await call(made.of)
    clock.nowMs += 8 * DAY_MS
    await call(made.of)
    await made.exporter.round()
    // In the place of the file that is written first.
    const blocked = join(accountDirectory(path, account), 'snapshot.json.new')
    await mkdir(blocked)
    await made.keeper.round()
    expect([said, await firstSeq(account)]).toEqual([['the books of an account were not kept: EISDIR'], 1])
    await rm(blocked, { recursive: true })
    clock.nowMs += 2 * HOUR_MS
    await call(made.of)
    await made.exporter.round()
    await made.keeper.round()
    expect(said).toHaveLength(1)
    expect(await firstSeq(account)).toBeGreaterThan(1)
  },
)

redisTest('a keeper that rests between two accounts stops at once', async () => {
  const [one, two] = [accountOf(harness), accountOf(harness)]
  for (const { account } of [one, two]) {
    const { of } = books(account)
    for (let i = 0; i < 300; i++) await of.grant(1n)
  }
  const { keeper } = books(one.account, { accounts: async () => [one.account, two.account] })
  const round = keeper.round()
  await waitFor('the first is kept', () =>
    harness.redis.hexists(`tg:{${one.account}}:exported`, 'snapshot').then(Boolean),
  )
  const startedMs = performance.now()
  await keeper.stop()
  await round
  expect(performance.now() - startedMs).toBeLessThan(2_000)
  expect(await harness.redis.hexists(`tg:{${two.account}}:exported`, 'snapshot')).toBe(0)
})

redisTest('where the config says so it is not frozen', async () => {
  const { account } = accountOf(harness)
  const { of, keep } = books(account, { freezeOnDrift: false })
  await of.grant(100n)
  await harness.redis.hset(`tg:{${account}}:acct`, 'timeouts', '3')
  await keep()
  expect(drift).toEqual([[account, 1]])
  expect((await of.balance()).frozen).toBe(false)
})

redisTest('a snapshot is as large as what Redis keeps, not as long as the ledger', async () => {
  const { clock } = harness
  const { account } = accountOf(harness)
  const { of, keep, wallet } = books(account)
  const archive = new BooksArchive([path])
  const minute = BUDGETS.filter(({ name }) => name === 'rate')
  await of.grant(1_000_000n)
  const sizes: number[] = []
  for (let day = 0; day < 4; day++) {
    for (let i = 0; i < 40; i++) {
      const late = of.call(20n, { deadlineMs: 5, budgets: minute, amounts: [] })
      await wallet.hold(late)
      clock.nowMs += HOUR_MS / 2
      await wallet.sweep(account)
    }
    // Late windows of a day, windows of an hour.
    clock.nowMs += 3 * DAY_MS
    await wallet.sweep(account)
    await keep()
    expect((await wallet.check(account)).differences).toEqual([])
    sizes.push((await archive.snapshot(account))?.state.length ?? 0)
  }
  expect(drift).toEqual([])
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(200)
})

redisTest('a ledger whose head was taken out by another hand is found, trimmed or not', async () => {
  const { account, wallet } = await trimmed()
  const first = await firstSeq(account)
  await harness.redis.xdel(`tg:{${account}}:ledger`, `${first}-0`)
  expect((await wallet.check(account)).differences).toEqual([
    { field: 'ledger.first_seq', kept: String(first + 1), ledger: String(first) },
  ])
})

redisTest(
  'a snapshot that was changed is found; without one the doctor begins with the first entry of the books',
  async () => {
    const { account, wallet } = await trimmed()
    const directory = accountDirectory(path, account)
    const file = join(directory, 'snapshot.json')
    await writeFile(file, (await readFile(file, 'utf8')).replace('USD', 'EUR'))
    expect((await wallet.check(account)).differences).toEqual([
      expect.objectContaining({ field: 'snapshot', kept: expect.stringContaining('is not what was written') }),
    ])
    for await (const { problem } of verifyBooks(path, undefined))
      expect(problem).toContain(`${file}:1: is not what was`)
    await rm(file)
    for await (const { problem } of verifyBooks(path, undefined)) expect(problem).toBe(undefined)
    expect((await wallet.check(account)).differences).toEqual([])
    expect(await listFiles(directory)).toHaveLength(1)
  },
)
