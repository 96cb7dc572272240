/** What the books cost: export, idle rounds, verification, a look-up, and the check of an account, on one private Redis. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { accountDirectory, readEntries } from '../src/books/account-files.ts'
import { BooksArchive } from '../src/books/archive.ts'
import { BooksTarget } from '../src/books/books-target.ts'
import { Exporter } from '../src/books/exporter.ts'
import { BooksKeeper } from '../src/books/keeper.ts'
import { verifyBooks } from '../src/books/verify.ts'
import { SILENT_LOG } from '../src/log.ts'
import { createWallet } from '../src/wallet/redis-wallet.ts'
import { createScriptCaller } from '../src/wallet/script-caller.ts'
import { startRedis } from '../test/support/redis.ts'
import { accountOf, type TestWallet, testWallet } from '../test/support/wallet.ts'

const CALLS_AT_ONCE = 50
const INFO = JSON.stringify({
  ...{ upstream: 'openai', model: 'gpt-5-mini', endpoint: 'chat', key: 'web', labels: { team: 'platform' } },
  ...{ tokens: { input: 1000, cached_input: 200, output: 300 }, cost: '0.0012', status: 200, duration_ms: 812 },
  usage: { prompt_tokens: 1200, completion_tokens: 300, prompt_tokens_details: { cached_tokens: 200 } },
})

async function fill(test: TestWallet, accounts: number, callsEach: number): Promise<readonly string[]> {
  const ids = Array.from({ length: accounts }, (_, i) => `bench-${accounts}-${i}`)
  const left = [...ids]
  const work = async (): Promise<void> => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const account = accountOf(test, id)
      await account.grant(1_000_000_000_000n)
      for (let i = 0; i < callsEach; i += CALLS_AT_ONCE) {
        await Promise.all(Array.from({ length: Math.min(CALLS_AT_ONCE, callsEach - i) }, () => call(test, account)))
      }
    }
  }
  await Promise.all(Array.from({ length: 20 }, work))
  return ids
}

async function call(test: TestWallet, account: ReturnType<typeof accountOf>): Promise<void> {
  const request = account.call(10n)
  await test.wallet.hold(request)
  await account.settle(request, 7n, { info: INFO })
}

async function redisCpuMs(redis: Redis): Promise<number> {
  const text = await redis.info('cpu')
  const seconds = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(text)?.[1])
  return 1000 * (seconds('used_cpu_user') + seconds('used_cpu_sys'))
}

async function measured(
  redis: Redis,
  what: string,
  run: () => Promise<number>,
  one: 'entry' | 'account' | 'look-up',
): Promise<void> {
  const [startedMs, cpu, redisMs] = [performance.now(), process.cpuUsage(), await redisCpuMs(redis)]
  const count = await run()
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpu)
  const micros = (value: number): string => `${(value / count).toFixed(1)} µs`
  const each = [`CPU ${micros(user + system)}`, `Redis ${micros(1000 * ((await redisCpuMs(redis)) - redisMs))}`]
  const rate = Math.round((count * 1000) / ms).toLocaleString('en')
  console.log(`${what.padEnd(72)} ${rate.padStart(9)}/s   an ${one}: ${each.join(', ')}`.replace('an look', 'a look'))
}

async function measure(test: TestWallet, path: string, accounts: number, callsEach: number): Promise<void> {
  const { redis } = test
  const ids = await fill(test, accounts, callsEach)
  const archive = new BooksArchive([path])
  const testClock = (): number => test.clock.nowMs
  const scripts = createScriptCaller(redis, { testClock, archive })
  const target = new BooksTarget(redis, { name: path, path })
  const shared = { redis, scripts, accounts: async () => ids, log: SILENT_LOG }
  const exporter = new Exporter({ ...shared, target })
  const wallet = createWallet(redis, { testClock, archive })
  const keeper = new BooksKeeper({
    ...shared,
    targets: [target],
    wallet,
    keepMs: 0,
    freezeOnDrift: false,
    onDrift() {},
  })
  const of = `${accounts.toLocaleString('en')} accounts of ${(1 + 2 * callsEach).toLocaleString('en')} entries`
  await measured(redis, `export, ${of}`, () => exportAll(exporter), 'entry')
  await measured(redis, `nothing new, ${of}`, async () => accounts + (await exportAll(exporter)), 'account')
  await measured(redis, `verify, ${of}`, () => verified(path), 'entry')
  const some = ids.slice(0, 200)
  await measured(
    redis,
    `compare with the ledger, snapshot, trim: ${of}`,
    async () => {
      for (const id of some) await keeper.keep(id)
      return some.length
    },
    'account',
  )
  await measured(redis, `one entry at random, ${of}`, () => lookedUp(path, ids, 1 + 2 * callsEach), 'look-up')
}

/** An account in use has its turn like the others: a long ledger takes several rounds. */
async function exportAll(exporter: Exporter): Promise<number> {
  for (let sum = 0; ; ) {
    const { exported } = await exporter.round()
    if (exported === 0) return sum
    sum += exported
  }
}

async function verified(path: string): Promise<number> {
  let entries = 0
  for await (const account of verifyBooks(path, undefined)) {
    if (account.problem !== undefined) throw new Error(account.problem)
    entries += account.entries
  }
  return entries
}

async function lookedUp(path: string, ids: readonly string[], entries: number): Promise<number> {
  for (let i = 0; i < 200; i++) {
    const id = ids[i % ids.length] ?? ''
    const seq = 1 + Math.floor(Math.random() * entries)
    const found = await readEntries(accountDirectory(path, id), id, seq, seq + 1, 1)
    if (found[0]?.seq !== seq) throw new Error(`entry ${seq} of ${id} is not in the books`)
  }
  return 200
}

const server = await startRedis()
const test = testWallet(server.url)
const paths: string[] = []
try {
  for (const [accounts, callsEach] of [
    [2, 50_000],
    [2000, 1],
  ] as const) {
    const path = await mkdtemp(join(tmpdir(), 'books-bench-'))
    paths.push(path)
    await measure(test, path, accounts, callsEach)
  }
} finally {
  test.close()
  await server.stop()
  for (const path of paths) await rm(path, { recursive: true, force: true })
}
