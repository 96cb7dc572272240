import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { afterEach, expect, test } from 'vitest'
import { ConfigError, type ConfigStore, openConfigStore, type ReloadResult } from '../../../src/config/config-store.ts'
import { formatProblem } from '../../../src/config/problem.ts'
import { snapshotOf } from './config-texts.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const thing of open.splice(0)) thing.close()
})

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-config-'))
  open.push({ close: () => rmSync(directory, { recursive: true, force: true }) })
  return directory
}

const planText = (maxOutputTokens: number) =>
  `plans:\n  pro: { max_output_tokens: ${maxOutputTokens} }\naccounts:\n  acme: { plan: pro }\n  globex: { plan: pro }\n`

function writeConfig(directory: string, entitlements = planText(1)): string {
  writeFileSync(join(directory, 'tollgate.yaml'), 'version: 1\n')
  writeFileSync(join(directory, 'entitlements.yaml'), entitlements)
  writeFileSync(join(directory, 'price-book.yaml'), 'version: 1\n')
  return join(directory, 'tollgate.yaml')
}

async function openStore(file: string): Promise<{ store: ConfigStore; heard: ReloadResult[] }> {
  const store = await openConfigStore(file, {})
  const heard: ReloadResult[] = []
  store.onReload((result) => heard.push(result))
  open.unshift(store)
  return { store, heard }
}

const limitOf = (store: ConfigStore) => store.current().plans.get('pro')?.maxOutputTokens

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(condition()).toBe(true)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a config with problems does not open, and says all of them', async () => {
  const directory = makeDirectory()
  const file = writeConfig(directory, 'plan: {}\n')
  writeFileSync(join(directory, 'price-book.yaml'), 'unit: 1\n')
  const error = await openConfigStore(file, {}).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(ConfigError)
  expect((error as ConfigError).problems).toHaveLength(2)
  expect((error as ConfigError).message.split('\n')).toHaveLength(2)
})

test.each([
  ['tollgate.yaml', /tollgate.yaml:1:1: cannot be read: no such file/],
  ['entitlements.yaml', /entitlements.yaml:1:1: cannot be read: no such file/],
])('a missing %s is a problem, not a crash', async (name, message) => {
  const directory = makeDirectory()
  const file = writeConfig(directory)
  rmSync(join(directory, name))
  await expect(openConfigStore(file, {})).rejects.toThrow(message)
})

test('bytes that are not UTF-8 and files of more than 4 MiB are refused at their place', async () => {
  const directory = makeDirectory()
  const file = writeConfig(directory)
  writeFileSync(join(directory, 'entitlements.yaml'), Buffer.from([0x61, 0x0a, 0x62, 0xff]))
  await expect(openConfigStore(file, {})).rejects.toThrow(/:2:2: not UTF-8/)
  writeFileSync(join(directory, 'entitlements.yaml'), '#'.repeat(4 * 1024 * 1024 + 1))
  await expect(openConfigStore(file, {})).rejects.toThrow(/is 4.0 MiB; at most 4 MiB/)
})

test('a reload puts an edit in force, and calls that started keep their snapshot', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  const before = store.current()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(2))
  const result = await store.reload()
  expect(result).toMatchObject({ result: 'applied', version: store.current().version, problems: [] })
  expect(heard).toEqual([result])
  expect([before.plans.get('pro')?.maxOutputTokens, limitOf(store)]).toEqual([1, 2])
  expect([before.generation, store.current().generation]).toEqual([1, 2])
  expect(store.current().version).not.toBe(before.version)
  expect(store.current().settings).toBe(before.settings)
  expect(await store.reload()).toMatchObject({ result: 'unchanged' })
  expect(store.current().generation).toBe(2)
})

test('of an edit with a good and a broken file nothing is in force', async () => {
  const directory = makeDirectory()
  const { store } = await openStore(writeConfig(directory))
  const before = store.current()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(2))
  writeFileSync(join(directory, 'price-book.yaml'), 'markup: 1.1\n')
  const result = await store.reload()
  expect(result.result).toBe('rejected')
  expect(result.problems.map(formatProblem)[0]).toMatch(/price-book.yaml:1:9: markup: "1.1" is a number; quote it/)
  expect(store.current()).toBe(before)
  writeFileSync(join(directory, 'price-book.yaml'), 'markup: "1.1"\n')
  expect(await store.reload()).toMatchObject({ result: 'applied' })
  expect([limitOf(store), store.current().priceBook.markup]).toEqual([2, '1.1'])
})

test('a changed tollgate.yaml is told to need a restart, and the hot files go on by the old one', async () => {
  const directory = makeDirectory()
  const file = writeConfig(directory)
  const { store } = await openStore(file)
  writeFileSync(file, 'gateway: { port: 1 }\n')
  expect((await store.reload()).notes).toEqual([
    expect.stringMatching(/tollgate.yaml has changed; that needs a restart/),
  ])
  writeFileSync(join(directory, 'entitlements.yaml'), planText(3))
  expect(await store.reload()).toMatchObject({ result: 'applied' })
  expect(store.current().settings.gateway.port).toBe(8080)
})

test('reloads at the same time share a reading, and the last edit is in force', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  const first = store.reload()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(9))
  const later = await Promise.all([store.reload(), store.reload(), store.reload()])
  await first
  expect(new Set(later).size).toBe(1)
  expect(heard.length).toBeLessThanOrEqual(2)
  expect(limitOf(store)).toBe(9)
  expect(store.current().generation).toBe(2)
})

test('texts can be looked at without putting them in force', async () => {
  const { store } = await openStore(writeConfig(makeDirectory()))
  const before = store.current()
  const bad = await store.validateTexts({ entitlements: 'accounts:\n  a: { plan: nope }\n' })
  expect(bad.problems.map(formatProblem)).toEqual([
    expect.stringMatching(/:2:14: accounts.a.plan: unknown plan "nope"/),
  ])
  const good = await store.validateTexts({ prices: 'version: 1\n' })
  expect(good.problems).toEqual([])
  expect(good.warnings.length).toBeGreaterThan(0)
  expect(store.current()).toBe(before)
})

test('a large config is parsed apart: the same as in place, and the loop never stalls', async () => {
  const directory = makeDirectory()
  const { store } = await openStore(writeConfig(directory))
  const accounts = Array.from({ length: 2000 }, (_, i) => {
    const sha256 = i.toString(16).padStart(63, '0')
    return `  a${i}:\n    { plan: pro, labels: { n: l${i} }, keys: [ { id: k, sha256: "f${sha256}" } ] }\n`
  }).join('')
  const text = `plans:\n  pro: { max_cost_per_call: "0.5" }\naccounts:\n${accounts}`
  writeFileSync(join(directory, 'entitlements.yaml'), text)
  const started = performance.now()
  snapshotOf({ entitlements: text })
  const inPlaceMs = performance.now() - started
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const result = await store.reload()
  delay.disable()
  expect(result.result).toBe('applied')
  const { plans, accounts: read, keys } = store.current()
  expect([read.size, keys.size]).toEqual([2000, 2000])
  const key = keys.get(`f${(77).toString(16).padStart(63, '0')}`)
  expect(key).toMatchObject({ id: 'k', account: { id: 'a77' }, labels: { n: 'l77' } })
  expect(key?.plan).toBe(plans.get('pro'))
  expect(key?.account).toBe(read.get('a77'))
  expect(key?.plan.maxCostPerCallAtoms).toBe(500_000_000n)
  // Some 20 ms on an idle machine; a busy one slows both.
  expect(delay.max / 1e6).toBeLessThan(inPlaceMs / 2)
  writeFileSync(join(directory, 'entitlements.yaml'), `${text}  a5: { plan: pro }\n`)
  expect((await store.reload()).problems).toEqual([
    expect.objectContaining({
      line: 4004,
      column: 3,
      message: 'accounts.a5: duplicate account "a5"; it stands above already',
    }),
  ])
}, 180_000)

test('the watcher puts an edit in force by itself', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  store.watch()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(2))
  await until(() => limitOf(store) === 2)
  expect(heard.map((result) => result.result)).toEqual(['applied'])
})

test('the watcher follows renames, again and again', async () => {
  const directory = makeDirectory()
  const { store } = await openStore(writeConfig(directory))
  store.watch()
  for (const limit of [2, 3]) {
    writeFileSync(join(directory, 'next'), planText(limit))
    renameSync(join(directory, 'next'), join(directory, 'entitlements.yaml'))
    await until(() => limitOf(store) === limit)
  }
})

test('the watcher follows a swapped link to a directory, as Kubernetes makes it', async () => {
  const directory = makeDirectory()
  for (const version of ['v1', 'v2', 'v3']) {
    mkdirSync(join(directory, version))
    writeConfig(join(directory, version), planText(Number(version.slice(1))))
  }
  symlinkSync('v1', join(directory, '..data'))
  for (const name of ['tollgate.yaml', 'entitlements.yaml', 'price-book.yaml']) {
    symlinkSync(join('..data', name), join(directory, name))
  }
  const { store } = await openStore(join(directory, 'tollgate.yaml'))
  store.watch()
  for (const limit of [2, 3]) {
    symlinkSync(`v${limit}`, join(directory, '..next'))
    renameSync(join(directory, '..next'), join(directory, '..data'))
    await until(() => limitOf(store) === limit)
  }
})

test('a deleted file changes nothing until it is back', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  store.watch()
  rmSync(join(directory, 'entitlements.yaml'))
  await until(() => heard.length === 1)
  expect(heard[0]).toMatchObject({ result: 'rejected', problems: [{ message: 'cannot be read: no such file' }] })
  expect(limitOf(store)).toBe(1)
  writeFileSync(join(directory, 'entitlements.yaml'), planText(5))
  await until(() => limitOf(store) === 5)
})

test('a file that is written slowly is read once it stands still', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  store.watch()
  const text = planText(4)
  for (let end = 0; end <= text.length; end += 4) {
    writeFileSync(join(directory, 'entitlements.yaml'), text.slice(0, end))
    expect(store.current().accounts.size).toBe(2)
    await wait(5)
  }
  writeFileSync(join(directory, 'entitlements.yaml'), text)
  await until(() => limitOf(store) === 4)
  expect(heard.filter((result) => result.result === 'applied')).toHaveLength(1)
})

test('a file cut in the middle of a line is rejected by the watcher, and taken by a reload that is asked for', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  store.watch()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(1).replace('  globex: { plan: pro }\n', '  '))
  await until(() => heard.length === 1)
  expect(heard[0]?.problems[0]?.message).toMatch(/^looks cut short: it is the beginning of the one in force/)
  expect(store.current().accounts.size).toBe(2)
  expect(await store.reload()).toMatchObject({ result: 'applied' })
  expect(store.current().accounts.size).toBe(1)
})

test('an account deleted at the end of the file is out once the file has stood still for two seconds', async () => {
  const directory = makeDirectory()
  const { store, heard } = await openStore(writeConfig(directory))
  store.watch()
  writeFileSync(join(directory, 'entitlements.yaml'), planText(1).replace('  globex: { plan: pro }\n', ''))
  await wait(1000)
  expect(store.current().accounts.size).toBe(2)
  await until(() => store.current().accounts.size === 1)
  expect(heard.filter((result) => result.result === 'rejected')).toEqual([])
})
