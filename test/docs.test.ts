import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { makeProgram } from '../src/cli/program.ts'
import { ERRORS } from '../src/errors.ts'
import { createMetrics } from '../src/metrics/metrics.ts'

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
const readme = read('README.md')
const architecture = read('ARCHITECTURE.md')
const scripts = read('redis-scripts/README.md')

test('the README lists every error code with its status, and no other', () => {
  const listed = [...readme.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ])
  expect(listed.sort()).toEqual(
    Object.entries(ERRORS)
      .map(([code, row]) => [code, row.status])
      .sort(),
  )
})

test('every metric that the documents name exists', async () => {
  const names = new Set((await createMetrics({ maxSeries: 10 }).export()).map((family) => family.name))
  const named = [readme, architecture, scripts].flatMap((text) =>
    [...text.matchAll(/`(tollgate_[a-z_]+)/g)].map(([, name]) => name as string),
  )
  expect(named.length).toBeGreaterThan(0)
  for (const name of named) expect(names, name).toContain(name)
})

test('every file and folder that the documents name exists', () => {
  const named = [readme, architecture, scripts].flatMap((text) => [
    ...[...text.matchAll(/`((?:src|redis-scripts|config|test|bench)\/[A-Za-z0-9_./-]*)`/g)].map(
      ([, path]) => path as string,
    ),
    ...[...text.matchAll(/\]\(([A-Za-z0-9_./-]+\.md)\)/g)].map(([, path]) => path as string),
  ])
  expect(named.length).toBeGreaterThan(20)
  for (const path of named.filter((path) => !path.includes('NAME')))
    expect(existsSync(new URL(`../${path}`, import.meta.url)), path).toBe(true)
})

test('the way of a call names files and functions that exist', () => {
  const rows = [...architecture.matchAll(/^(\S+\.ts) +([A-Za-z]+) /gm)]
  expect(rows.length).toBeGreaterThan(12)
  for (const [, file, name] of rows) expect(read(`src/${file}`), `${file} has no ${name}`).toContain(name as string)
})

test('every command that the README shows is one of the CLI', () => {
  const silent = { env: {}, print: () => {}, printError: () => {} } as unknown as Parameters<typeof makeProgram>[0]
  const commands = new Set(makeProgram(silent, () => {}).commands.map((command) => command.name()))
  const named = new Set([...readme.matchAll(/(?:`|-- )tollgate ([a-z][a-z-]+)/g)].map(([, name]) => name as string))
  expect(named.size).toBeGreaterThan(8)
  for (const name of named) expect(commands).toContain(name)
})

test('every script has a row in redis-scripts/README.md, and every row its script', () => {
  const files = readdirSync(new URL('../redis-scripts', import.meta.url)).filter((file) => file.endsWith('.lua'))
  const rows = new Set([...scripts.matchAll(/^\| `([a-z_]+)(?:\.lua)?` \|/gm)].map(([, name]) => `${name}.lua`))
  for (const file of files) expect(rows, file).toContain(file)
})
