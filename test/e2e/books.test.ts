/** The books of a running gateway: exported by itself, read by the CLI, verified without it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { tollgate } from '../support/cli.ts'
import { startTestGateway } from '../support/gateway.ts'
import { redisAvailable, startRedis } from '../support/redis.ts'
import { waitFor } from '../support/wait-for.ts'

const run = test.skipIf(!redisAvailable)
const CHAT = { model: 'gpt-5-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] }

const dirs: string[] = []
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

function filesOf(dataDir: string): readonly string[] {
  const names = readdirSync(join(dataDir, 'ledger'), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.jsonl')).map((name) => join(dataDir, 'ledger', name))
}

run(
  'a gateway exports its ledger by itself, verify says that it is whole and where it is not, and export prints it',
  async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'books-data-'))
    dirs.push(dataDir)
    const gateway = await startTestGateway({ dataDir, settings: 'ledger: { export: [ { jsonl: ledger/ } ] }' })
    try {
      await gateway.grant('10')
      for (let i = 0; i < 3; i++) {
        const answer = await gateway.post('/v1/chat/completions', CHAT, { 'x-tollgate-tags': 'note=a' })
        expect(answer.status).toBe(200)
        await answer.arrayBuffer()
      }
      const verify = () => tollgate(gateway, 'export', '--verify', '--config', gateway.files.tollgate)
      const isWhole = async () => (await verify()).out.startsWith('Verified 7 entries of 1 account')
      await waitFor('all is exported', isWhole, { withinMs: 30_000, everyMs: 500 })
      const lines = (await tollgate(gateway, 'export')).out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(lines.map(({ account, seq }) => [account, seq])).toEqual([1, 2, 3, 4, 5, 6, 7].map((seq) => ['acme', seq]))
      // A settle may follow the next call's hold.
      const types = lines.map(({ type }) => type)
      expect(types.toSorted()).toEqual(['grant', 'hold', 'hold', 'hold', 'settle', 'settle', 'settle'])
      const csv = (await tollgate(gateway, 'export', '--format', 'csv', '--account', 'acme')).out
        .trimEnd()
        .split('\r\n')
      expect(csv).toHaveLength(8)
      expect(csv[0]?.split(',').slice(0, 4)).toEqual(['account', 'seq', 'at', 'type'])
      expect(csv.filter((line) => line.includes('gpt-5-mini'))).not.toEqual([])
      const focus = (await tollgate(gateway, 'export', '--format', 'focus')).out.trimEnd().split('\r\n').slice(1)
      const billed = focus.reduce((sum, line) => sum + Number(line.split(',')[0]), 0)
      expect(billed).toBeCloseTo(Number((await gateway.balance())['posted']), 12)
      expect((await tollgate(gateway, 'export', '--since', '2999-01-01')).out).toBe('')
      const wrong = await tollgate(gateway, 'export', '--format', 'xml')
      expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('is none of jsonl, csv, focus, cloudevents')])
      const [file] = filesOf(dataDir)
      const text = readFileSync(file ?? '', 'utf8')
      writeFileSync(file ?? '', text.replace('grant|', 'grand|'))
      const broken = await verify()
      expect([broken.code, broken.out.split('\n')[0]]).toEqual([1, `${file}:1: is not what its hash says`])
      // Whole last lines are gone: what is left is a chain all the same.
      const kept = text.split('\n').slice(0, 5)
      writeFileSync(file ?? '', `${kept.join('\n')}\n`)
      const cut = await verify()
      expect([cut.code, cut.out.split('\n')[0]]).toEqual([
        1,
        `${file}:6: is missing: entry 5 is the last here, and Redis knows that those up to 7 were exported`,
      ])
      const copy = await tollgate(gateway, 'export', '--verify', '--path', join(dataDir, 'ledger'))
      expect([copy.code, copy.out]).toEqual([
        0,
        'Verified 5 entries of 1 account: each is what was written, in one chain.\n',
      ])
      rmSync(dirname(file ?? ''), { recursive: true })
      const gone = await verify()
      expect([gone.code, gone.out.split('\n')[0]]).toEqual([
        1,
        `${dirname(file ?? '')}: has no entry of acme, and Redis knows that those up to 7 were exported`,
      ])
      mkdirSync(dirname(file ?? ''))
      writeFileSync(file ?? '', text)
      expect(await verify()).toMatchObject({
        code: 0,
        out: expect.stringContaining('none is missing that Redis knows of.'),
      })
      const alone = await tollgate(
        { ...gateway, adminUrl: 'http://127.0.0.1:9' },
        'export',
        '--verify',
        '--config',
        gateway.files.tollgate,
      )
      expect([alone.code, alone.err]).toEqual([0, expect.stringMatching(/^Not compared with Redis, .*127\.0\.0\.1:9/)])
    } finally {
      await gateway.close()
    }
  },
)

run('a gateway freezes an account whose state a foreign hand changed, and says so in its metrics', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'books-data-'))
  dirs.push(dataDir)
  const redis = await startRedis()
  const client = new Redis(redis.url)
  const options = { dataDir, redis, settings: 'ledger: { export: [ { jsonl: ledger/ } ] }' }
  try {
    const first = await startTestGateway(options)
    await first.grant('10')
    await first.close()
    await client.hset('tg:{acme}:acct', 'timeouts', '7')
    const second = await startTestGateway(options)
    try {
      const isFrozen = async () => (await second.balance())['frozen'] === (true as unknown)
      await waitFor('the account is frozen', isFrozen, { withinMs: 30_000, everyMs: 100 })
      const metrics = await (await fetch(`${second.adminUrl}/metrics`)).text()
      expect(metrics).toMatch(/^tollgate_drift\{account="acme"\} 1$/m)
      expect(metrics).toMatch(/^tollgate_ledger_export_lag_seconds [\d.e+-]+$/m)
      const answer = await second.post('/v1/chat/completions', CHAT)
      expect([answer.status, answer.headers.get('x-tollgate-error')]).toEqual([403, 'account_suspended'])
      expect((await tollgate(second, 'doctor', '--repair')).code).toBe(0)
      expect((await tollgate(second, 'unfreeze', 'acme')).code).toBe(0)
      expect((await second.post('/v1/chat/completions', CHAT)).status).toBe(200)
    } finally {
      await second.close()
    }
  } finally {
    client.disconnect()
    await redis.stop()
  }
})

run('without an export in the config there are no books, and verify says so', async () => {
  const gateway = await startTestGateway({})
  try {
    const { code, err } = await tollgate(gateway, 'export', '--verify', '--config', gateway.files.tollgate)
    expect([code, err]).toEqual([1, expect.stringContaining('exports nothing')])
  } finally {
    await gateway.close()
  }
})
