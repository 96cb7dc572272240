import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createScriptRunner } from '../../../src/redis/run-script.ts'
import { loadScript, loadScripts, type Script, ScriptError } from '../../../src/redis/script-loader.ts'
import { redisTest, withWallet } from '../../support/with-wallet.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`script-fixtures/${name}`, import.meta.url))

test.each([
  ['no-shebang', 'x.lua:1: the first line is not "#!lua" or "#!lua flags=…"'],
  ['unknown-flag', 'x.lua:1: unknown flag "no-reads"'],
  ['no-header', 'x.lua:2: no header: the second line is not "--[["'],
  ['open-header', 'x.lua:2: the header has no "]]" on a line of its own'],
  ['no-purpose', 'x.lua:3: the header does not say what the script is for'],
  ['no-returns', 'x.lua:4: the header does not say what the script returns'],
  ['index-gap', 'x.lua:7: ARGV[2] follows ARGV[0]'],
  ['undocumented-key', 'x.lua:11: KEYS[2] is not in the header of x.lua'],
  ['undocumented-in-lib', 'lib/a.lua:2: ARGV[9] is not in the header of x.lua'],
  ['unused-argument', 'x.lua:7: ARGV[1] is never used'],
  ['computed-index', 'x.lua:12: KEYS is used without a literal index'],
  ['whole-table', 'x.lua:11: ARGV is used without a literal index'],
  ['missing-include', 'x.lua:11: cannot read lib/none.lua'],
  ['include-cycle', 'lib/b.lua:2: include cycle: x.lua -> lib/a.lua -> lib/b.lua -> lib/a.lua'],
  ['include-outside', "x.lua:11: ../good/lib/a.lua is outside the scripts' directory"],
  ['unknown-directive', 'x.lua:11: unknown directive "--! import lib/a.lua"'],
])('%s does not load', (name, message) => {
  expect(() => loadScripts(fixture(name))).toThrow(new ScriptError(...splitPlace(message)))
})

function splitPlace(message: string): [string, number, string] {
  const [, file, line, problem] = /^(.+?):(\d+): (.*)$/.exec(message) ?? []
  return [file ?? '', Number(line), problem ?? '']
}

test('includes are put in once, in the place where they are asked for, and a line is found again', () => {
  const script = loadScript(fixture('good'), 'x.lua')
  const lines = script.source.split('\n')
  expect(lines.filter((line) => line.includes('function half'))).toHaveLength(1)
  expect(lines.findIndex((line) => line.includes('half'))).toBeLessThan(
    lines.findIndex((line) => line.includes('twice')),
  )
  expect(script.locate(lines.findIndex((line) => line.includes('function half')) + 1)).toBe('lib/b.lua:1')
  expect(script).toMatchObject({ name: 'x', keyCount: 1, argumentCount: 1 })
  expect(script.sha1).toBe(createHash('sha1').update(script.source).digest('hex'))
})

test('the first line is left out where the server does not know it, and no line moves', () => {
  const [plain, stripped] = [
    loadScript(fixture('good'), 'x.lua'),
    loadScript(fixture('good'), 'x.lua', { stripShebang: true }),
  ]
  expect(stripped.source.split('\n').slice(1)).toEqual(plain.source.split('\n').slice(1))
  expect(stripped.source.split('\n')[0]).toBe('')
  expect(stripped.sha1).not.toBe(plain.sha1)
})

const harness = withWallet()

redisTest('whole numbers are printed by a long where it has 64 bits, with the digits that a float prints', async () => {
  const run = createScriptRunner(harness.redis)
  const [short, long] = ([32, 64] as const).map((longBits) => loadScript(fixture('numbers'), 'x.lua', { longBits }))
  expect([short?.source.includes('%.0f'), long?.source.includes('%.0f')]).toEqual([true, false])
  for (const number of ['9007199254740991', '-9007199254740991', '100000000000000', '0', '-1']) {
    expect(await run(short as Script, [], [number])).toEqual([number])
    expect(await run(long as Script, [], [number])).toEqual([number])
  }
})

redisTest('a test clock takes the place of TIME', async () => {
  const run = createScriptRunner(harness.redis)
  const script = loadScript(fixture('clock'), 'x.lua', { clock: 'argument' })
  expect(await run(script, [], ['1800000000123'])).toEqual(['1800000000123'])
  const [real] = (await run(loadScript(fixture('clock'), 'x.lua'), [], [])) as [string]
  expect(Math.abs(Number(real) - Date.now())).toBeLessThan(5000)
})

redisTest('a script goes by its digest, and by its text where the server does not know it', async () => {
  const sent: string[] = []
  const run = createScriptRunner({
    evalsha: (...args) => {
      sent.push('evalsha')
      return harness.redis.evalsha(...args)
    },
    eval: (...args) => {
      sent.push('eval')
      return harness.redis.eval(...args)
    },
  })
  const script = loadScript(fixture('good'), 'x.lua')
  await harness.redis.script('FLUSH')
  expect(await run(script, ['k'], ['4'])).toEqual(['k', 8, 'KEYS[8] -- not a comment'])
  expect(await run(script, ['k'], ['4'])).toEqual(['k', 8, 'KEYS[8] -- not a comment'])
  expect(sent).toEqual(['evalsha', 'eval', 'evalsha'])
})

redisTest('an error inside a script names the file and line it comes from', async () => {
  const run = createScriptRunner(harness.redis)
  const script = loadScript(fixture('good'), 'x.lua')
  await expect(run(script, ['k'], ['not a number'])).rejects.toThrow(/lib\/b\.lua:1/)
})
