/** The exported books: what is in them, that they are whole after anything, and that a changed byte shows. */
import { spawn } from 'node:child_process'
import { appendFile, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect } from 'vitest'
import {
  accountDirectory,
  listFiles,
  type OpenFile,
  openEnd,
  readEntries,
  writeEntries,
} from '../../src/books/account-files.ts'
import { AllAccounts } from '../../src/books/all-accounts.ts'
import { BooksArchive } from '../../src/books/archive.ts'
import { BooksHeads } from '../../src/books/books-heads.ts'
import { BooksTarget } from '../../src/books/books-target.ts'
import { Exporter, type ExporterOptions } from '../../src/books/exporter.ts'
import { type VerifiedAccount, verifyBooks } from '../../src/books/verify.ts'
import type { Log } from '../../src/log.ts'
import { readPage } from '../../src/wallet/ledger.ts'
import { packInfo, unpackInfo } from '../../src/wallet/packed-info.ts'
import { createScriptCaller } from '../../src/wallet/script-caller.ts'
import { accountOf, type TestAccount } from '../support/wallet.ts'
import { redisTest, withWallet } from '../support/with-wallet.ts'

const harness = withWallet()
const EXPORTING = fileURLToPath(new URL('../support/export-process.ts', import.meta.url))
let path = ''
let said: string[] = []
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'books-'))
  said = []
})
afterEach(() => rm(path, { recursive: true, force: true }))

const log = {
  info: () => {},
  warn: () => {},
  error: ({ error }: { error?: Error }, message: string) => said.push(`${message}: ${error?.message ?? ''}`),
} as unknown as Log

let places = 0

function exporterOf(accounts: readonly string[], more: Partial<ExporterOptions> = {}, name = `books-${++places}/`) {
  const { redis, clock } = harness
  return new Exporter({
    target: new BooksTarget(redis, { name, path }),
    redis,
    scripts: createScriptCaller(redis, { testClock: () => clock.nowMs }),
    accounts: async () => accounts,
    log,
    ...more,
  })
}

async function used(calls: number, account: TestAccount = accountOf(harness)): Promise<TestAccount> {
  await account.grant(1_000_000n)
  for (let i = 0; i < calls; i++) {
    const call = account.call(10n)
    await harness.wallet.hold(call)
    await account.settle(call, 7n, { info: `{"user":"ü${i}","text":"\\n\\"{}"}` })
  }
  return account
}

async function verified(): Promise<readonly VerifiedAccount[]> {
  const found: VerifiedAccount[] = []
  for await (const account of verifyBooks(path, undefined)) found.push(account)
  return found
}
const problems = async () => (await verified()).flatMap(({ problem }) => problem ?? [])

async function booksOf(account: string) {
  return readEntries(accountDirectory(path, account), account, 1, Number.MAX_SAFE_INTEGER, 100_000)
}

async function ledgerOf(account: string) {
  const entries = await harness.redis.xrange(`tg:{${account}}:ledger`, '-', '+')
  return entries.map(([id, [, packed = '', , info = '']]) => ({
    seq: Number(id.split('-')[0]),
    packed,
    info: unpackInfo(info),
  }))
}

async function expectWhole(account: string): Promise<void> {
  const books = await booksOf(account)
  expect(books.map(({ seq, packed, info }) => ({ seq, packed, info }))).toEqual(await ledgerOf(account))
  expect(await problems()).toEqual([])
}

redisTest(
  'each entry is exported once, as Redis has it, in a chain for each account, and the next round adds what is new',
  async () => {
    const [one, two] = [await used(5), await used(3, accountOf(harness, 'Team/a:b@c+d'))]
    const exporter = exporterOf([one.account, two.account])
    expect(await exporter.round()).toEqual({ exported: 18, failed: 0 })
    expect(await exporter.round()).toEqual({ exported: 0, failed: 0 })
    await used(2, two)
    expect(await exporter.round()).toEqual({ exported: 5, failed: 0 })
    await expectWhole(one.account)
    await expectWhole(two.account)
    expect((await verified()).map(({ account, entries }) => [account, entries]).sort()).toEqual([
      ['Team/a:b@c+d', 12],
      [one.account, 11],
    ])
    const acknowledged = await harness.redis.hvals(`tg:{${one.account}}:exported`)
    expect(acknowledged).toEqual([`11 ${(await booksOf(one.account)).at(-1)?.hash}`])
  },
)

redisTest(
  'a changed byte of any line is found, with its file and line',
  async () => {
    const { account } = await used(4)
    await exporterOf([account]).round()
    const [file] = await listFiles(accountDirectory(path, account))
    const written = await readFile(file?.path ?? '')
    let line = 1
    for (let at = 0; at < written.length; at++) {
      const changed = Buffer.from(written)
      // Each bit at some place of each line, one bit at every place.
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      await writeFile(file?.path ?? '', changed)
      const [problem] = await problems()
      const [, found] = /:(\d+): /.exec(problem ?? '') ?? []
      // A line break that is gone makes one line of two.
      expect([at, Number(found)]).toEqual([at, line])
      if (written[at] === 10) line++
    }
  },
  120_000,
)

redisTest('a line that is taken out, put twice, moved or brought from another account is found', async () => {
  const { account } = await used(3)
  const other = await used(3)
  await exporterOf([account, other.account]).round()
  const [file] = await listFiles(accountDirectory(path, account))
  const [stranger] = await listFiles(accountDirectory(path, other.account))
  const lines = (await readFile(file?.path ?? '', 'utf8')).split('\n').slice(0, -1)
  const strange = (await readFile(stranger?.path ?? '', 'utf8')).split('\n').slice(0, -1)
  const cases: readonly (readonly [string, readonly string[], number])[] = [
    ['taken out', lines.toSpliced(3, 1), 4],
    ['the first taken out', lines.slice(1), 1],
    ['twice', lines.toSpliced(3, 0, lines[3] ?? ''), 5],
    ['moved', lines.toSpliced(2, 2, lines[3] ?? '', lines[2] ?? ''), 3],
    ['of another account', lines.toSpliced(3, 1, strange[3] ?? ''), 4],
    ['all of another account', strange, 1],
    ['a blank line', lines.toSpliced(3, 0, ''), 4],
  ]
  for (const [what, changed, at] of cases) {
    await writeFile(file?.path ?? '', `${changed.join('\n')}\n`)
    expect([what, (await problems())[0]?.includes(`${file?.path}:${at}: `)]).toEqual([what, true])
  }
})

redisTest('what a crash left of a line is cut off at the start, at every length, and written again', async () => {
  const account = await used(3)
  await exporterOf([account.account], {}, 'crash/').round()
  const [file] = await listFiles(accountDirectory(path, account.account))
  const before = await readFile(file?.path ?? '')
  await used(1, account)
  const whole = exporterOf([account.account], {}, 'crash/')
  // The lease of the first one is released as at a stop.
  await harness.redis.del('tg:books-lease:crash/')
  await whole.round()
  const after = await readFile(file?.path ?? '')
  const acknowledged = `7 ${JSON.parse(before.toString().trim().split('\n').at(-1) ?? '').hash}`
  const [id] = await harness.redis.hkeys(`tg:{${account.account}}:exported`)
  for (let length = before.length; length < after.length; length += 61) {
    for (const garbage of ['', '\0\0\0', '\0\0\n']) {
      await writeFile(file?.path ?? '', Buffer.concat([after.subarray(0, length), Buffer.from(garbage)]))
      await harness.redis.hset(`tg:{${account.account}}:exported`, id ?? '', acknowledged)
      await harness.redis.del('tg:books-lease:crash/')
      expect((await exporterOf([account.account], {}, 'crash/').round()).failed).toBe(0)
      expect(await readFile(file?.path ?? '')).toEqual(after)
    }
  }
  expect(said).toEqual([])
})

redisTest('what was acknowledged and is damaged stops the account and is not written over', async () => {
  const account = await used(3)
  const good = await used(3)
  await exporterOf([account.account], {}, 'damaged/').round()
  const [file] = await listFiles(accountDirectory(path, account.account))
  const handle = await open(file?.path ?? '', 'r+')
  const { size } = await handle.stat()
  await handle.write('X', size - 120)
  await handle.close()
  await used(1, account)
  await harness.redis.del('tg:books-lease:damaged/')
  const round = await exporterOf([account.account, good.account], {}, 'damaged/').round()
  expect(round).toEqual({ exported: 7, failed: 1 })
  expect(said).toEqual([expect.stringContaining('is no line')])
  expect((await readFile(file?.path ?? '')).length).toBe(size)
})

redisTest(
  'files that were lost are written again where Redis has the entries, and are missed where it has not',
  async () => {
    const account = await used(3)
    await exporterOf([account.account], {}, 'lost/').round()
    const [file] = await listFiles(accountDirectory(path, account.account))
    const whole = await readFile(file?.path ?? '')
    await truncate(file?.path ?? '', whole.indexOf(10) + 1)
    await used(1, account)
    await harness.redis.del('tg:books-lease:lost/')
    expect((await exporterOf([account.account], {}, 'lost/').round()).failed).toBe(0)
    await expectWhole(account.account)
    await truncate(file?.path ?? '', whole.indexOf(10) + 1)
    await harness.redis.xtrim(`tg:{${account.account}}:ledger`, 'MINID', '4-0')
    await used(1, account)
    await harness.redis.del('tg:books-lease:lost/')
    expect((await exporterOf([account.account], {}, 'lost/').round()).failed).toBe(1)
    expect(said.at(-1)).toContain('the books end with entry 1, and Redis has no more than from 4 on')
  },
)

redisTest(
  'entries that Redis lost in a failover are set aside, and the export goes on with what Redis has',
  async () => {
    const account = await used(3)
    const key = `tg:{${account.account}}:`
    await exporterOf([account.account], {}, 'failover/').round()
    const replica = new Map<string, Buffer>()
    for (const name of ['acct', 'grants', 'order', 'due', 'holds', 'ledger', 'budgets', 'events', 'exported']) {
      const dump = await harness.redis.dumpBuffer(key + name)
      if (dump) replica.set(key + name, dump)
    }
    await used(1, account)
    await harness.redis.del('tg:books-lease:failover/')
    await exporterOf([account.account], {}, 'failover/').round()
    const lost = await booksOf(account.account)
    for (const [name, dump] of replica) await harness.redis.restore(name, 0, dump, 'REPLACE')
    await used(2, account)
    await harness.redis.del('tg:books-lease:failover/')
    expect((await exporterOf([account.account], {}, 'failover/').round()).failed).toBe(0)
    expect(said).toEqual([expect.stringContaining('Redis has lost entries that were exported')])
    await expectWhole(account.account)
    const directory = accountDirectory(path, account.account)
    const aside = (await readdir(directory)).filter((name) => name.startsWith('lost-'))
    expect(aside).toHaveLength(1)
    const kept = (await readFile(join(directory, aside[0] ?? ''), 'utf8')).trim().split('\n')
    expect(kept.map((line) => JSON.parse(line).hash)).toEqual(lost.slice(7).map(({ hash }) => hash))
  },
)

redisTest('an entry is the same whether the books have its JSON, or packed as the ledger has it', async () => {
  const account = await used(2)
  await exporterOf([account.account], {}, 'older/').round()
  await used(1, account)
  const directory = accountDirectory(path, account.account)
  const packed = (await ledgerOf(account.account)).slice(5).map((entry) => ({ ...entry, info: packInfo(entry.info) }))
  expect(packed.some(({ info }) => info.startsWith('\u0001'))).toBe(true)
  await writeEntries(directory, account.account, await openEnd(directory, account.account, 5), packed)
  await harness.redis.del('tg:books-lease:older/')
  expect(await exporterOf([account.account], {}, 'older/').round()).toEqual({ exported: 0, failed: 0 })
  expect(said).toEqual([])
  await used(1, account)
  await harness.redis.xtrim(`tg:{${account.account}}:ledger`, 'MINID', '9-0')
  const archive = new BooksArchive([path])
  const scripts = createScriptCaller(harness.redis, { testClock: () => harness.clock.nowMs, archive })
  const { entries } = await readPage(scripts, account.account, 6, 100, 'settle')
  expect(entries.map(({ fields }) => fields)).toMatchObject([{ user: 'ü0' }])
})

redisTest(
  'a full disk stops the export, which says so once, loses nothing, and goes on when there is room',
  async () => {
    const account = await used(30)
    let room = 3000
    const openFile: OpenFile = async (file, flags) => {
      const handle = await open(file, flags)
      return {
        close: () => handle.close(),
        datasync: () => handle.datasync(),
        write: (async (data: Buffer, offset: number, length: number, position: number) => {
          const fits = Math.min(length, room)
          if (fits === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
          room -= fits
          return handle.write(data, offset, fits, position)
        }) as Awaited<ReturnType<OpenFile>>['write'],
      }
    }
    const exporter = exporterOf([account.account], { openFile })
    expect(await exporter.round()).toEqual({ exported: 0, failed: 1 })
    expect(await exporter.round()).toEqual({ exported: 0, failed: 1 })
    expect(said).toEqual([expect.stringContaining('no space left')])
    expect(await harness.redis.hvals(`tg:{${account.account}}:exported`)).toEqual([])
    room = 1e9
    // What fitted is in the files already.
    expect((await exporter.round()).failed).toBe(0)
    await expectWhole(account.account)
  },
)

redisTest(
  'where the directory of books cannot be made, the log says why, once; with it the export goes on',
  async () => {
    const { account } = await used(2)
    const blocked = join(path, 'a-file')
    await writeFile(blocked, '')
    const exporter = exporterOf([account], {
      target: new BooksTarget(harness.redis, { name: 'blocked/', path: blocked }),
    })
    expect(await exporter.round()).toEqual({ exported: 0, failed: 1 })
    expect(await exporter.round()).toEqual({ exported: 0, failed: 1 })
    expect(said).toEqual([expect.stringMatching(/^the ledger export stopped: EEXIST: .*a-file/)])
    expect(await harness.redis.hlen(`tg:{${account}}:exported`)).toBe(0)
    await rm(blocked)
    expect(await exporter.round()).toEqual({ exported: 5, failed: 0 })
  },
)

redisTest(
  'of gateways that share the books one writes; one with books of its own writes nothing and says why',
  async () => {
    const { account } = await used(2)
    const [first, second] = [exporterOf([account], {}, 'shared/'), exporterOf([account], {}, 'shared/')]
    expect((await first.round()).exported).toBe(5)
    await used(1, accountOf(harness, account))
    expect((await second.round()).exported).toBe(0)
    await first.stop()
    expect((await second.round()).exported).toBe(3)
    await second.stop()
    const elsewhere = await mkdtemp(join(tmpdir(), 'books-'))
    try {
      const target = new BooksTarget(harness.redis, { name: 'shared/', path: elsewhere })
      await used(1, accountOf(harness, account))
      expect((await exporterOf([account], { target }).round()).exported).toBe(0)
      expect(said).toEqual([expect.stringContaining('the books of this deployment are in another directory')])
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  },
)

describe('the id of a directory of books', () => {
  const targetOf = (directory: string) => new BooksTarget(harness.redis, { name: 'id/', path: directory })

  redisTest('is there whole or not at all, and is one, whoever makes it', async () => {
    for (let i = 0; i < 20; i++) {
      const directory = await mkdtemp(join(tmpdir(), 'books-'))
      try {
        let isMade = false
        const ids = Promise.all([targetOf(directory).id(), targetOf(directory).id()]).finally(() => {
          isMade = true
        })
        while (!isMade) {
          const text = await readFile(join(directory, 'books.json'), 'utf8').catch(() => undefined)
          if (text !== undefined) expect(text).toMatch(/^\{"books":"[0-9a-f]{24}"\}\n$/)
        }
        const [one, other] = await ids
        expect(one).toBe(other)
        expect(await readdir(directory)).toEqual(['books.json'])
      } finally {
        await rm(directory, { recursive: true })
      }
    }
  })

  redisTest('that is no id is an error that says what to do', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'books-'))
    try {
      for (const text of ['', '{}', '{"books":"what"}']) {
        await writeFile(join(directory, 'books.json'), text)
        await expect(targetOf(directory).id()).rejects.toThrow(
          /books\.json has no id of books: bring it back from a copy/,
        )
      }
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

redisTest(
  'an exporter that is killed at any moment leaves books that the next one finishes',
  async () => {
    const accounts = await Promise.all([used(20), used(1), used(1)])
    const ids = accounts.map(({ account }) => account)
    for (let kill = 0; kill < 8; kill++) {
      const child = spawn(process.execPath, [EXPORTING, harness.server.url, path, ...ids], { stdio: 'pipe' })
      const gone = new Promise((resolve) => child.once('exit', resolve))
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const until = performance.now() + Math.random() * 200
      for (let i = 0; performance.now() < until; i++) await used(5, accounts[i % 3])
      child.kill('SIGKILL')
      await gone
      // Whatever stands there: what was acknowledged is in it.
      for (const id of ids) {
        const [text] = await harness.redis.hvals(`tg:{${id}}:exported`)
        const [seq, hash] = (text ?? '0 ').split(' ')
        const [line] = await readEntries(accountDirectory(path, id), id, Number(seq), Number(seq) + 1, 1)
        expect(line?.hash ?? '').toBe(hash)
      }
      await harness.redis.del('tg:books-lease:killed/')
    }
    expect((await exporterOf(ids, {}, 'killed/').round()).failed).toBe(0)
    for (const id of ids) await expectWhole(id)
  },
  120_000,
)

redisTest('writers that do not know of each other write the same bytes', async () => {
  const account = await used(40)
  const race = [1, 2, 3].map(() => exporterOf([account.account], {}, 'race/'))
  for (let round = 0; round < 5; round++) {
    await used(5, account)
    await Promise.all(
      race.map(async (exporter) => {
        await harness.redis.del('tg:books-lease:race/')
        await exporter.round()
      }),
    )
  }
  await harness.redis.del('tg:books-lease:race/')
  await exporterOf([account.account], {}, 'race/').round()
  await expectWhole(account.account)
})

redisTest('every account with a wallet is found; one whose keys are broken stops no other', async () => {
  const { redis } = harness
  await redis.flushall()
  const [first, second] = [await used(2), await used(1)]
  await redis.set('tg:{broken}:acct', 'x')
  await redis.set('tg:{no name}:acct', 'x')
  const all = new AllAccounts(redis, () => ['quiet', first.account])
  expect([...(await all.list())].sort()).toEqual([first.account, second.account, 'broken', 'quiet'].sort())
  const exporter = exporterOf([], { accounts: () => all.list() })
  expect(await exporter.round()).toEqual({ exported: 8, failed: 1 })
  expect(said).toEqual([expect.stringContaining('the ledger of broken could not be exported')])
})

redisTest(
  'a directory that is written to while it is verified is not called damaged, one with half a line is',
  async () => {
    const { account } = await used(3)
    await exporterOf([account]).round()
    const [file] = await listFiles(accountDirectory(path, account))
    await appendFile(file?.path ?? '', '{"account":"')
    expect(await problems()).toEqual([expect.stringContaining(`${file?.path}:8: ends in the middle of a line`)])
  },
)

redisTest('Redis tells page by page how far the books of each account are', async () => {
  await harness.redis.flushdb()
  const accounts = [accountOf(harness, 'pages-b'), accountOf(harness, 'pages-a'), accountOf(harness, 'pages-c')]
  for (const account of accounts) await used(1, account)
  await exporterOf(['pages-b', 'pages-a']).round()
  const heads = new BooksHeads(harness.redis as never, () => ['pages-never'])
  const pages: string[][] = []
  for (let after: string | undefined, first = true; first || after !== undefined; first = false) {
    const page = await heads.page(after, 2)
    pages.push(page.heads.map(({ account, seq }) => `${account} ${seq}`))
    after = page.next ?? undefined
  }
  expect(pages).toEqual([['pages-a 3', 'pages-b 3'], []])
  const [line] = (await booksOf('pages-a')).slice(-1)
  const { books } = JSON.parse(await readFile(join(path, 'books.json'), 'utf8')) as { books: string }
  expect(await heads.of('pages-a')).toEqual([{ account: 'pages-a', books, seq: 3, hash: line?.hash }])
})
