/**
 * Random histories of the wallet's model in which the ledger is exported, verified, checked and trimmed to its last entry
 * again and again: every answer, statement and replay must be the one that the model gives, whose ledger is whole.
 */
import { deepStrictEqual } from 'node:assert'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BooksArchive } from '../../src/books/archive.ts'
import { BooksTarget } from '../../src/books/books-target.ts'
import { Exporter } from '../../src/books/exporter.ts'
import { BooksKeeper } from '../../src/books/keeper.ts'
import { verifyBooks } from '../../src/books/verify.ts'
import { SILENT_LOG } from '../../src/log.ts'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { createReplay } from '../../src/wallet/replay.ts'
import { readReplay, writeReplay } from '../../src/wallet/replay-snapshot.ts'
import { createScriptCaller } from '../../src/wallet/script-caller.ts'
import type { LedgerEntry, Wallet } from '../../src/wallet/wallet-types.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { wholeLedger } from '../support/wallet.ts'
import { runHistory } from './random-history.ts'

const STEPS = 150
const histories = Number(process.env['MODEL_HISTORIES'] ?? 16)
const fixed = process.env['MODEL_SEED']
const firstSeed = Number(fixed ?? Math.floor(Math.random() * 1e9))
const seeds = Array.from({ length: fixed ? 1 : histories }, (_, i) => firstSeed + i)

let server: TestRedis
let redis: Redis
let path: string
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  redis = new Redis(server.url)
  path = await mkdtemp(join(tmpdir(), 'books-model-'))
})
afterAll(async () => {
  redis?.disconnect()
  await server?.stop()
  await rm(path, { recursive: true, force: true })
})

/** A wallet after each check of which nothing but the last entry stays in Redis. */
function trimmedWallet(account: string, testClock: () => number): Wallet {
  const archive = new BooksArchive([path])
  const wallet = createWallet(redis, { testClock, archive })
  const scripts = createScriptCaller(redis, { testClock, archive })
  const target = new BooksTarget(redis, { name: account, path })
  const shared = { redis, scripts, accounts: async () => [account], log: SILENT_LOG, nowMs: testClock }
  const exporter = new Exporter({ ...shared, target })
  const drift: number[] = []
  const keeper = new BooksKeeper({
    ...shared,
    targets: [target],
    wallet,
    // What is dated in the future is old enough too: the clock of a history goes back now and then.
    keepMs: -1e12,
    freezeOnDrift: true,
    onDrift: (_, differences) => drift.push(differences),
  })
  return {
    ...wallet,
    async check(of) {
      const checked = await wallet.check(of)
      await exporter.round()
      await keeper.keep(of)
      deepStrictEqual(drift, [])
      const left = await redis.xlen(`tg:{${account}}:ledger`)
      if (checked.seq > 0) expect(left).toBe(1)
      return wallet.check(of)
    },
  }
}

test.skipIf(!redisAvailable)(
  `${seeds.length} random histories answer the same when their ledgers are trimmed (first seed ${firstSeed})`,
  async () => {
    for (const seed of seeds) {
      const account = `trimmed-${seed}`
      const failed = await runHistory(seed, account, (clock) => trimmedWallet(account, clock), STEPS, {
        anywhere: true,
      })
      expect(failed?.problem, `seed ${seed}`).toBeUndefined()
    }
    let verified = 0
    for await (const { problem, entries } of verifyBooks(path, undefined)) {
      expect(problem).toBe(undefined)
      verified += entries
    }
    expect(verified).toBeGreaterThan(seeds.length * 50)
  },
  600_000,
)

test.skipIf(!redisAvailable)(
  'a snapshot at any entry and the entries after it give, byte for byte, what all entries give',
  async () => {
    for (const seed of seeds.slice(0, 8)) {
      const account = `whole-${seed}`
      let wallet: Wallet | undefined
      const failed = await runHistory(
        seed,
        account,
        (testClock) => {
          wallet = createWallet(redis, { testClock })
          return wallet
        },
        STEPS,
      )
      expect(failed?.problem, `seed ${seed}`).toBeUndefined()
      expectSnapshotsToHold(await wholeLedger(wallet as Wallet, account))
    }
  },
  600_000,
)

function expectSnapshotsToHold(entries: readonly LedgerEntry[]): void {
  const chargeOf = (entry: LedgerEntry) =>
    entry.type === 'refund' ? entries[Number(entry.fields['charge']) - 1] : undefined
  const whole = createReplay()
  const snapshots: string[] = []
  for (const entry of entries) {
    snapshots.push(writeReplay(whole.state))
    whole.apply(entry, chargeOf(entry))
  }
  const end = writeReplay(whole.state)
  for (const [at, snapshot] of snapshots.entries()) {
    // Each tenth to the end, all of them one entry on.
    const replay = readReplay(snapshot)
    if (replay === undefined) throw new Error('a snapshot of another version')
    const upTo = at % 10 === 0 ? entries.length : at + 1
    for (const entry of entries.slice(at, upTo)) replay.apply(entry, chargeOf(entry))
    expect(writeReplay(replay.state)).toBe(upTo === entries.length ? end : snapshots[upTo])
  }
}
