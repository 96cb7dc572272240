import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { validateCommand } from '../../../src/cli/validate-command.ts'

let directory = ''
const printed = { out: '', err: '' }

function collect(stream: 'out' | 'err', text: string | Uint8Array): true {
  printed[stream] += String(text)
  return true
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollgate-validate-'))
  printed.out = ''
  printed.err = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => collect('out', text))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => collect('err', text))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true, force: true })
})

function validate(entitlements: string): Promise<number> {
  writeFileSync(join(directory, 'tollgate.yaml'), 'version: 1\n')
  writeFileSync(join(directory, 'entitlements.yaml'), entitlements)
  writeFileSync(join(directory, 'price-book.yaml'), 'version: 1\n')
  return validateCommand({ config: join(directory, 'tollgate.yaml') })
}

test('a valid config exits 0, with warnings on standard error alone', async () => {
  expect(await validate('version: 1\n')).toBe(0)
  expect(printed.out).toBe('')
  expect(printed.err).toMatch(/tollgate.yaml:1:1: warning: no upstreams/)
})

test('problems exit 1, a line each on standard output', async () => {
  expect(await validate('plan: 1\nunits: 1\n')).toBe(1)
  expect(printed.out.trimEnd().split('\n')).toEqual([
    `${join(directory, 'entitlements.yaml')}:1:1: unknown field "plan"; did you mean "plans"?`,
    expect.stringMatching(/:2:1: unknown field "units"; known fields: version, plans,/),
  ])
  expect(printed.err).toBe('')
})

test('a config that is not there exits 1 and says so', async () => {
  expect(await validateCommand({ config: join(directory, 'none.yaml') })).toBe(1)
  expect(printed.out).toBe(`${join(directory, 'none.yaml')}:1:1: cannot be read: no such file\n`)
})
