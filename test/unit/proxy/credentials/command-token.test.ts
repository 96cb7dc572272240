import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runTokenCommand } from '../../../../src/proxy/credentials/command-token.ts'
import { waitFor } from '../../../support/wait-for.ts'

const node = (script: string): string[] => [process.execPath, '-e', script]

test('the token is what the program prints, without blanks around it', async () => {
  expect(await runTokenCommand(node('console.log("  ya29.token-1 ")'), 10_000)).toBe('ya29.token-1')
})

test('no shell reads the words', async () => {
  expect(await runTokenCommand(['printf', '%s', '$HOME;`id`|&'], 10_000)).toBe('$HOME;`id`|&')
})

const SECRET = 'canary-secret'
test.each([
  ['fails', node(`console.log("${SECRET}"); console.error("${SECRET}"); process.exit(3)`), 'ended with code 3'],
  ['prints nothing', node(''), 'printed nothing'],
  ['prints two words', node(`console.log("${SECRET} and more")`), 'something else than one token'],
  ['prints two lines', node(`console.log("${SECRET}\\n${SECRET}")`), 'something else than one token'],
  [
    'prints without end',
    node(`for (let i = 0; i < 200; i++) console.log("${SECRET}".repeat(100))`),
    'more than a token',
  ],
  ['is not there', ['/no/such/program'], 'could not be started (ENOENT)'],
  ['kills itself', node('process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 10000)'), 'was ended by SIGTERM'],
])(
  'a program that %s gives no token, and the reason has no word of what it printed',
  async (_name, command, reason) => {
    const error = await runTokenCommand(command, 10_000).catch((cause: unknown) => cause as Error)
    expect(String(error)).toContain(reason)
    expect(String(error)).not.toContain(SECRET)
  },
)

test('a program that takes too long is killed with what it started', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-command-'))
  try {
    const file = join(dir, 'pid')
    const command = ['sh', '-c', `sleep 60 & echo $! > "${file}"; wait`]
    await expect(runTokenCommand(command, 1_500)).rejects.toThrow('did not end within 1.5 s')
    const pid = Number(readFileSync(file, 'utf8'))
    await waitFor('the grandchild to end', async () => !isRunning(pid))
  } finally {
    rmSync(dir, { recursive: true })
  }
})

function isRunning(pid: number): boolean {
  try {
    // A zombie that nobody has waited for is no longer running.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
