import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Narrator } from '../../src/demo/narrator.ts'
import { startServices } from '../../src/demo/services.ts'
import { walk } from '../../src/demo/walk.ts'

const ROOT = join(import.meta.dirname, '../..')
/** Free ports, so that a demo that someone is looking at is left alone. */
const PORTS = { TOLLGATE_PORT: '0', TOLLGATE_ADMIN_PORT: '0' }

interface Run {
  readonly code: number | null
  readonly output: string
}

function runDemo(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  onOutput: (output: string, child: ChildProcess) => void = () => {},
): Promise<Run> {
  const child = spawn(process.execPath, ['src/demo/demo.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...PORTS, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const collect = (chunk: Buffer): void => {
    output += chunk.toString('utf8')
    onOutput(output, child)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  return new Promise((ended) => child.once('close', (code) => ended({ code, output })))
}

/** What each step is about, as someone who knows nothing of it would look for it. */
const FACTS: readonly (readonly [string, RegExp])[] = [
  ['credit is granted', /Finance gives it 0\.05 USD/],
  ['what a call cost is in the answer', /x-tollgate-cost: 0\.000645/],
  ['the money of a call', /held\s+0\.005125 .*\n\s+charged\s+0\.000645 .*\n\s+returned\s+0\.00448 /],
  ['a wallet in columns', /wallet of acme, USD\s+granted\s+held\s+posted\s+available\s+debt/],
  ['the cost comment of a stream', /: tollgate cost=0\.00085 unit=USD input=20 output=80/],
  ['a trimmed call', /x-tollgate-trimmed: max_tokens=\d{4}/],
  ["a refusal in OpenAI's shape", /"type": "insufficient_quota"/],
  ["a refusal in Anthropic's shape", /"type": "billing_error"/],
  ['a dry run', /"decision":"trim"/],
  ['credit that expired', /0\.49596 USD, has expired/],
  ['calls that wait for others', /429 held_by_open_calls, retry-after: 1/],
  ['a stream that was cut', /"finish_reason":"length"[^\n]*\n\s+data: \[DONE\]/],
  ['debt', /x-tollgate-overage: negative/],
  ['the invoice', /x-tollgate-overage: overflow/],
  ['observe', /x-tollgate-would: insufficient_funds/],
  ['the ledger', /settle gpt-4o\s+0\.000645\s+grant 1 -> consumed/],
]

test('the walk does what it says, names the main facts, and ends with 0', async () => {
  const { code, output } = await runDemo(['--once'])
  expect(output).not.toContain('✗')
  expect(output).toContain('Every claim above was checked and came true.')
  for (const [fact, pattern] of FACTS) expect(output, fact).toMatch(pattern)
  expect(output, 'no colour codes where no terminal shows them').not.toContain('\u001b[')
  expect(code).toBe(0)
}, 180_000)

test('without redis-server the same walk runs on the fallback, and says that balances live in memory only', async () => {
  const { code, output } = await runDemo(['--once'], { PATH: '/nonexistent' })
  expect(output).toMatch(/WARNING: no redis-server[^\n]*\n[^\n]*in memory only/)
  expect(output).not.toContain('✗')
  expect(code).toBe(0)
}, 180_000)

test('a step that does not do what it says fails the walk by name', async () => {
  const services = await startServices({ ...process.env, ...PORTS })
  let output = ''
  try {
    await services.simulator.close()
    const out = new Narrator((text) => {
      output += text
    }, false)
    const failures = await walk(services, out)
    expect(failures).toContainEqual(expect.stringMatching(/"A call that passes" was broken off: .*502/))
    expect(failures.length).toBeGreaterThan(8)
    expect(output).toContain('✗')
  } finally {
    await services.stop()
  }
}, 180_000)

test('Ctrl-C in the middle of the walk stops everything and leaves nothing behind', async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'tollgate-test-'))
  let interrupted = false
  const { code, output } = await runDemo([], { TMPDIR: temporary }, (soFar, child) => {
    if (!interrupted && soFar.includes('── 2. ')) interrupted = child.kill('SIGINT')
  })
  expect(code).toBe(130)
  expect(output).not.toContain('── 13. ')
  expect(output).not.toContain('✗')
  expect(readdirSync(temporary)).toEqual([])
  rmSync(temporary, { recursive: true })
}, 180_000)

test('an unknown argument is wrong usage', async () => {
  const { code, output } = await runDemo(['--twice'])
  expect(code).toBe(2)
  expect(output).toContain('usage: npm run demo [-- --once]')
})
