import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { generatedFiles } from '../../../src/config/generated-files.ts'
import { loadConfigFiles } from '../../../src/config/load-config.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { formatProblem } from '../../../src/config/problem.ts'
import { referenceFile } from '../../../src/config/reference-file.ts'

const config = new URL('../../../config/', import.meta.url)

test.each(Object.entries(generatedFiles()))('config/%s is what the schemas say now', (path, text) => {
  expect(readFileSync(new URL(path, config), 'utf8')).toBe(text)
})

test.each(['tollgate.yaml', 'reference/tollgate.yaml'])('config/%s and the files it names are valid', async (path) => {
  const loaded = await loadConfigFiles(fileURLToPath(new URL(path, config)), {})
  if ('problems' in loaded) throw new Error(loaded.problems.map(formatProblem).join('\n'))
  expect((parseConfig(loaded.files, {}).problems ?? []).map(formatProblem)).toEqual([])
})

test.each(['tollgate', 'entitlements', 'price-book'])(
  'an editor finds nothing wrong with %s.yaml, and a misspelt field',
  (name) => {
    const schema = z.fromJSONSchema(JSON.parse(readFileSync(new URL(`schema/${name}.json`, config), 'utf8')))
    for (const path of [`${name}.yaml`, `reference/${name}.yaml`]) {
      expect(schema.safeParse(parse(readFileSync(new URL(path, config), 'utf8'))).error?.issues).toBeUndefined()
    }
    expect(schema.safeParse({ versoin: 1 }).success).toBe(false)
  },
)

test('the keys of the demo are what its comments say', async () => {
  const text = readFileSync(new URL('entitlements.yaml', config), 'utf8')
  const pairs = [...text.matchAll(/# (tg-demo-\S+)\n[^#]*?sha256: ([0-9a-f]{64})/g)]
  expect(pairs).toHaveLength(7)
  for (const [, key = '', sha256] of pairs) {
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))
    expect(Buffer.from(digest).toString('hex')).toBe(sha256)
  }
})

test.each([
  ['a field without a meaning', { properties: { a: { type: 'string', default: 'x' } } }, 'a has no description'],
  ['a field without a value', { properties: { a: { type: 'string', description: 'x' } } }, 'a has neither'],
])('the reference is not written with %s', (_, schema, message) => {
  expect(() => referenceFile('x', { description: 'x', ...schema }, {})).toThrow(message)
})
