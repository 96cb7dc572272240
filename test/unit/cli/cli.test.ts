import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { runCli } from '../../../src/cli/program.ts'
import { table } from '../../../src/cli/table.ts'
import { timeRange } from '../../../src/cli/time-range.ts'
import { newId } from '../../../src/core/ids.ts'
import { redisAvailable, startRedis } from '../../support/redis.ts'
import { type AdminHarness, startAdmin, TOKENS } from '../admin/harness.ts'
import { terms } from '../outbox/fake-wallet.ts'

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(args: string, env: NodeJS.ProcessEnv = {}, input = ''): Promise<Ran> {
  let out = ''
  let err = ''
  const code = await runCli(args === '' ? [] : args.split(' '), {
    env,
    print: (text) => {
      out += text
    },
    printError: (text) => {
      err += text
    },
    input: Readable.from([Buffer.from(input)]),
  })
  return { code, out, err }
}

test.each([
  ['', /Usage/],
  ['nope', /unknown command 'nope'/],
  ['balance', /missing required argument/],
  ['balance acme --nope', /unknown option/],
  ['grant acme 5 USD', /--funding is missing; choose promotional \(given\), invoiced .* or external/],
  ['grant acme 5 USD --funding gift', /there is no "gift"/],
  ['grant acme 5e3 USD --funding external', /AMOUNT: "5e3" is not a decimal amount/],
  ['grant acme 5 USD --funding external --priority 1001', /--priority/],
  ['grant acme 5 USD --funding external --expires 30d', /--expires: write a date/],
  ['grant acme 5 USD --funding external --expires 2026-02-30', /--expires: "2026-02-30" is not understood/],
  ['adjust acme -5 USD', /--reason is missing/],
  ['ledger acme --period 2026-13', /--period/],
  ['ledger acme --period 2026 --since 2026-01-01', /give one or the other/],
  ['ledger acme --timezone Mars/Olympus --since 24h', /--timezone/],
  ['ledger acme --follow --until 2027-01-01', /--follow has no end/],
  ['balance acme --admin nowhere', /is no URL/],
  ['ledger acme --type settled', /--type: there is no "settled"; choose grant, /],
  ['grant acme 0 USD --funding external', /AMOUNT: "0" is not more than 0/],
  ['grant acme -5 USD --funding external', /AMOUNT: "-5" is not more than 0/],
  ['adjust acme 0.00 USD --reason r', /AMOUNT: "0.00" changes nothing/],
  ['clawback acme g --amount -1', /--amount: "-1" is not more than 0/],
  ['resolve acme USD debt --amount 0', /--amount: "0" is not more than 0/],
  ['refund acme --reason r', /CHARGE: "acme" is not ACCOUNT:SEQ/],
  ['refund acme:3 --amount 0 --reason r', /--amount: "0" is not more than 0/],
  ['refund acme:3 --dry-run', /--dry-run goes with --where/],
  ['close-period acme lastmonth', /PERIOD: "lastmonth" is not understood/],
  ['usage --period 2026-13', /--period/],
  ['report controls --since tomorrow', /--since/],
  ['report shadow --period 2026 --until 2026-02-01', /give one or the other/],
  ['unmatched charge acme:3', /--reason is missing/],
  ['unmatched dismiss 3 --reason r', /"3" is not ACCOUNT:SEQ/],
])('"%s" is wrong usage: exit 2, one line that says what', async (args, message) => {
  const { code, out, err } = await run(args, { TOLLGATE_ADMIN_URL: 'http://127.0.0.1:9' })
  expect(code).toBe(2)
  expect(out).toBe('')
  expect(err).toMatch(message)
  expect(err).not.toMatch(/^\s+at /m)
})

test('help is exit 0 on standard output', async () => {
  const { code, out } = await run('--help')
  expect(code).toBe(0)
  for (const name of [
    'serve',
    'validate',
    'grant',
    'balance',
    'grants',
    'holds',
    'ledger',
    'simulator',
    'adopt-redis',
    'doctor',
    'usage',
    'unmatched',
    'reconcile',
  ]) {
    expect(out).toContain(`\n  ${name} `)
  }
})

test('without a gateway: exit 1 and where it looked', async () => {
  const { code, err } = await run('balance acme', { TOLLGATE_ADMIN_URL: 'http://127.0.0.1:9' })
  expect(code).toBe(1)
  expect(err).toMatch(/^tollgate: cannot reach the admin API at http:\/\/127\.0\.0\.1:9 .*\n$/)
})

test.each([
  ['a password in the URL', 'http://u:hunter2@127.0.0.1:9', 'x'],
  ['a token with a line break inside', 'http://127.0.0.1:9', 'hun\nter2'],
  ['a token with a character that no header has', 'http://127.0.0.1:9', 'hunter2→'],
])('%s is wrong usage, said in one line without the secret', async (_, url, token) => {
  const { code, out, err } = await run('balance acme', { TOLLGATE_ADMIN_URL: url, TOLLGATE_ADMIN_TOKEN: token })
  expect([code, out]).toEqual([2, ''])
  expect(err).not.toMatch(/hun/)
  expect(err.trimEnd().split('\n')).toHaveLength(1)
})

test('a range that ends before it begins is wrong usage', () => {
  expect(() => timeRange({ since: '2026-11-02', until: '2026-11-02' }, 0)).toThrow(/not before/)
})

test.each([
  ['2026', 'UTC', '2026-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ['2026-Q4', 'UTC', '2026-10-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ['2026-11', 'UTC', '2026-11-01T00:00:00.000Z', '2026-12-01T00:00:00.000Z'],
  ['2026-10', 'Europe/Paris', '2026-09-30T22:00:00.000Z', '2026-10-31T23:00:00.000Z'],
  ['2026-02-28', 'Asia/Kolkata', '2026-02-27T18:30:00.000Z', '2026-02-28T18:30:00.000Z'],
  ['2026-W53', 'UTC', '2026-12-28T00:00:00.000Z', '2027-01-04T00:00:00.000Z'],
  ['2027-W01', 'UTC', '2027-01-04T00:00:00.000Z', '2027-01-11T00:00:00.000Z'],
])('period %s in %s', (period, timezone, since, until) => {
  const range = timeRange({ period, timezone }, 0)
  expect([new Date(range.sinceMs).toISOString(), new Date(range.untilMs).toISOString()]).toEqual([since, until])
})

test.each(['2027-W53', '2026-W00', '2026-00', '2026-11-31', '26', '2026-Q5'])('period %s does not exist', (period) => {
  expect(() => timeRange({ period }, 0)).toThrow(/--period/)
})

test('a table is aligned, amounts on the right, and a cell cannot command the terminal', () => {
  const columns = [
    { title: 'A', text: (row: string[]) => row[0] ?? '' },
    { title: 'SUM', right: true, text: (row: string[]) => row[1] ?? '' },
  ]
  expect(
    table(
      columns,
      [
        ['x\u001b[2J\n', '1'],
        ['yy', '10.50'],
      ],
      'none',
    ),
  ).toBe('A         SUM\nx [2J       1\nyy      10.50\n')
  expect(table(columns, [], 'none')).toBe('none\n')
})

test.each([
  ['keys hash sk-1', ''],
  ['keys hash', 'sk-1\n'],
  ['keys hash -', 'sk-1'],
])('"%s" prints the line for the config', async (args, input) => {
  const { code, out } = await run(args, {}, input)
  expect(code).toBe(0)
  expect(out).toBe(`sha256: "${HASH_OF_SK_1}"\n`)
})
// printf %s sk-1 | sha256sum
const HASH_OF_SK_1 = '0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3'

test('an empty key is wrong usage', async () => {
  expect((await run('keys hash', {}, '\n')).code).toBe(2)
})

describe.skipIf(!redisAvailable)('with a gateway', () => {
  let admin: AdminHarness
  let env: NodeJS.ProcessEnv
  beforeAll(async () => {
    admin = await startAdmin()
    env = { TOLLGATE_ADMIN_URL: admin.url, TOLLGATE_ADMIN_TOKEN: TOKENS.finance }
  })
  afterAll(() => admin?.stop())
  beforeEach(async () => {
    await admin.redis.call('FLUSHALL')
  })

  test('accounts and keys are made, shown, changed, revoked and closed', async () => {
    const operator = { ...env, TOLLGATE_ADMIN_TOKEN: TOKENS.operator }
    expect((await run('accounts create cust-1', env)).code).toBe(2)
    expect((await run('accounts create cust-1 --plan huge', env)).err).toMatch(/invalid: plan: "huge" is no plan/)
    expect((await run('accounts create cust-1 --plan pro --label segment=smb', env)).out).toMatch(
      /^Made: cust-1 {2}plan pro {2}active\n/,
    )
    expect((await run('accounts create cust-1 --plan pro', env)).err).toMatch(/conflict: There is an account/)
    expect((await run('keys create cust-1 web', env)).err).toMatch(/forbidden/)
    const made = await run('keys create cust-1 web --acts-for cust-* --expires 2099-01-01', operator)
    expect(made.out).toMatch(/^tgk_[A-Za-z0-9_-]{43}\nThis key of cust-1 is shown this once/)
    const listed = await run('keys list --account cust-1', env)
    expect(listed.out).toMatch(/^ACCOUNT +KEY .*\ncust-1 +web +active +redis +2099-01-01T00:00:00.000Z +cust-\*/)
    expect(listed.out).not.toContain('tgk_')
    expect((await run('keys revoke web', operator)).out).toMatch(/^Revoked: web of cust-1/)
    expect((await run('keys list --account cust-1', env)).out).toBe('No keys.\n')
    expect((await run('accounts update cust-1', env)).code).toBe(2)
    expect((await run('accounts update cust-1 --plan-overrides nonsense', env)).code).toBe(2)
    expect((await run('accounts update cust-1 --plan floor --plan-overrides {}', env)).out).toContain('plan floor')
    expect((await run('accounts close cust-1', env)).out).toMatch(/^Closed: cust-1 {2}plan floor {2}closed/)
    expect((await run('accounts update cust-1 --reopen', env)).out).toMatch(/^Changed: .* active/)
    expect((await run('accounts list', env)).out).toMatch(/\ncust-1 +floor +active +redis +0 USD/)
  })

  test('grant, balance, grants, void', async () => {
    const granted = await run('grant acme 10.50 USD --funding external --key inv-1 --expires 2099-01-01', env)
    expect(granted.code).toBe(0)
    expect(granted.out).toMatch(/^Granted: 10\.5 USD to acme\nGRANT +FUNDING +AMOUNT/)
    expect(granted.out).toContain('2099-01-01')
    const again = await run('grant acme 10.50 USD --funding external --key inv-1 --expires 2099-01-01', env)
    expect(again.out).toMatch(/^This grant was made before: 10\.5 USD/)
    const balance = await run('balance acme', env)
    expect(balance.out).toMatch(/^acme {2}plan pro {2}active\nUNIT +AVAILABLE +HELD .*\nUSD +10\.5 +0 /)
    const grants = JSON.parse((await run('grants acme --json', env)).out)
    expect(grants).toHaveLength(1)
    const voided = await run(`void acme ${grants[0].id} --reason mistake`, env)
    expect(voided.out).toMatch(/^Voided: 10\.5 USD of grant/)
    expect((await run(`void acme ${grants[0].id}`, env)).code).toBe(1)
    expect(JSON.parse((await run('balance acme --json', env)).out).balances[0].available).toBe('0')
  })

  test('adjust takes a negative amount, freeze and unfreeze show', async () => {
    expect((await run('adjust acme 5 USD --reason goodwill', env)).out).toMatch(/USD +5 /)
    expect((await run('adjust acme -2.25 USD --reason typo', env)).out).toMatch(/USD +2\.75 /)
    const refused = await run('adjust acme -9 USD --reason typo', env)
    expect([refused.code, refused.err]).toEqual([
      1,
      'tollgate: insufficient_funds: Less is free than the amount takes away.\n',
    ])
    expect((await run('freeze acme --reason abuse', env)).out).toContain('acme  plan pro  frozen')
    expect((await run('unfreeze acme', env)).out).toContain('acme  plan pro  active')
  })

  test('holds and the ledger read like a statement', async () => {
    await run('grant acme 10 USD --funding invoiced', env)
    const id = newId(Date.now())
    const all = terms(id)
    const hold = { fixedAtoms: 1_000_000_000n, perTokenAtoms: 0n, leastTokens: 0, wantTokens: 0, totalTokens: 0 }
    await admin.wallet.hold({ ...all, ...hold, deadlineMs: 60_000, dryRun: false, info: '{"model":"gpt-5-mini"}' })
    expect((await run('holds acme', env)).out).toMatch(new RegExp(`CALL .*\\n${id} +1 +0 +USD .*gpt-5-mini`))
    const info = '{"model":"gpt-5-mini","key":"ci-bot","tokens":{"input":12,"output":40},"usage_source":"provider"}'
    await admin.wallet.settle({ terms: all, finalAtoms: 250_000_000n, info })
    const { out } = await run('ledger acme', env)
    const lines = out.split('\n')
    expect(lines[0]).toMatch(/^SEQ +TIME \(UTC\) +TYPE +CHANGE +UNIT +AVAILABLE +DETAILS$/)
    expect(lines[1]).toMatch(/ grant +10 +USD +10 .*by finance$/)
    expect(lines[2]).toMatch(/ hold +USD +9 .*holds 1/)
    expect(lines[3]).toMatch(/ settle +-0\.25 +USD +9\.75 +gpt-5-mini; key ci-bot; input 12, output 40$/)
    const json = (await run('ledger acme --json --type settle', env)).out.trim().split('\n')
    expect(json).toHaveLength(1)
    expect(JSON.parse(json[0] as string)).toMatchObject({ type: 'settle', charged: '0.25' })
    expect((await run('ledger acme --until 2020-01-01', env)).out).toBe('No entries.\n')
    expect((await run(`ledger acme --period ${new Date().getUTCFullYear()}`, env)).out).toBe(out)
  })

  test('webhooks list, webhooks test', async () => {
    const operator = { ...env, TOLLGATE_ADMIN_TOKEN: TOKENS.operator }
    expect((await run('webhooks list', operator)).out).toMatch(
      /^URL +STATE +WAITING .*\nhttps:\/\/ops\.example\/hook +ok +0 +never +wallet\.\* +\*\n$/,
    )
    expect(JSON.parse((await run('webhooks list --json', operator)).out)).toMatchObject([{ state: 'ok', pending: 0 }])
    const tested = await run('webhooks test https://ops.example/hook', operator)
    expect([tested.code, tested.out]).toEqual([0, expect.stringMatching(/hook +yes +12\n$/)])
    const other = await run('webhooks test https://elsewhere.example/', operator)
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('unknown_webhook')])
  })

  test('accounts list', async () => {
    expect((await run('accounts list', env)).out).toMatch(
      /^ACCOUNT +PLAN +STATUS +IN +AVAILABLE +HELD\nacme +pro +active +files +0 USD/,
    )
  })

  test.each([
    ['a token that is missing', {}, 'grants acme', /wants a token: set TOLLGATE_ADMIN_TOKEN/],
    ['a token that is unknown', { TOLLGATE_ADMIN_TOKEN: 'x' }, 'grants acme', /TOLLGATE_ADMIN_TOKEN is not known/],
    [
      'a role that is too low',
      { TOLLGATE_ADMIN_TOKEN: TOKENS.viewer },
      'freeze acme',
      /forbidden: This needs the role finance/,
    ],
    ['an unknown account', { TOLLGATE_ADMIN_TOKEN: TOKENS.viewer }, 'balance nobody', /unknown_account/],
    [
      'a unit that nothing spends',
      { TOLLGATE_ADMIN_TOKEN: TOKENS.finance },
      'grant acme 1 usd --funding external',
      /invalid: unit/,
    ],
  ])('%s: exit 1 and one line', async (_, more, args, message) => {
    const { code, out, err } = await run(args, { TOLLGATE_ADMIN_URL: admin.url, ...more })
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(message)
    expect(err.trimEnd().split('\n')).toHaveLength(1)
  })

  test('--follow prints what comes, in a process of its own, until it is ended', async () => {
    await run('grant acme 10 USD --funding invoiced', env)
    const { spawn } = await import('node:child_process')
    const cli = join(import.meta.dirname, '../../../src/cli.ts')
    const child = spawn(process.execPath, [cli, 'ledger', 'acme', '--follow', '--json'], {
      env: { ...process.env, ...env },
    })
    let out = ''
    const seen = (count: number) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (out.split('\n').length > count) resolve()
        }
        child.stdout.on('data', look)
        look()
      })
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk
    })
    await seen(1)
    await run('freeze acme', env)
    await seen(2)
    child.kill('SIGINT')
    await new Promise((resolve) => child.once('close', resolve))
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type),
    ).toEqual(['grant', 'freeze'])
  })
})

describe.skipIf(!redisAvailable)('adopt-redis', () => {
  test('lets a gateway go on with a Redis that lost its marker, and says so', async () => {
    const server = await startRedis()
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-adopt-'))
    writeFileSync(
      join(dir, 'tollgate.yaml'),
      `version: 1\nredis: { url: "${server.url}" }\nprices: p.yaml\nentitlements: e.yaml\n`,
    )
    writeFileSync(join(dir, 'p.yaml'), 'version: 1\nunit: USD\nentries: []\n')
    writeFileSync(join(dir, 'e.yaml'), 'version: 1\nplans: {}\naccounts: {}\n')
    mkdirSync(join(dir, 'data'))
    writeFileSync(join(dir, 'data', 'instance-id'), 'the-one\n')
    const args = `adopt-redis --config ${join(dir, 'tollgate.yaml')}`
    expect((await run(args)).out).toMatch(/^An empty Redis is adopted as instance the-one\./)
    expect((await run(args)).out).toMatch(/^This Redis is adopted already \(instance the-one\)/)
    await server.stop()
    const { code, err } = await run(args)
    rmSync(dir, { recursive: true })
    expect(code).toBe(1)
    expect(err).toMatch(/^tollgate: .*ECONNREFUSED/)
  }, 180_000)
})

describe('as a process', () => {
  const cli = join(import.meta.dirname, '../../../src/cli.ts')
  const runProcess = (...args: string[]) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' })

  test('exit codes come out', () => {
    expect(runProcess('--help').status).toBe(0)
    expect(runProcess('nope').status).toBe(2)
    expect(runProcess('balance', 'acme', '--admin', 'http://127.0.0.1:9').status).toBe(1)
  })

  test('serve on a config that is not there: exit 1, no stack trace', () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-cli-'))
    const { status, stderr } = runProcess('serve', '--config', join(dir, 'none.yaml'))
    rmSync(dir, { recursive: true })
    expect(status).toBe(1)
    expect(stderr).toContain('none.yaml')
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})
