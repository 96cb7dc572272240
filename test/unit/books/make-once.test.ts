import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeOnce } from '../../../src/books/make-once.ts'

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollgate-once-'))
  file = join(directory, 'books.json')
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const failing = (code: string) => async () => {
  throw Object.assign(new Error(`${code}: link`), { code })
}

test('of many that make it at once the first text stays, and nothing is left beside it', async () => {
  const made = await Promise.all(Array.from({ length: 20 }, (_, i) => makeOnce(file, `text ${i}`)))
  expect(new Set(made).size).toBe(1)
  expect(await makeOnce(file, 'another')).toBe(made[0])
  expect(readdirSync(directory)).toEqual(['books.json'])
})

test.each(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])('a file system without links will do (%s)', async (code) => {
  expect(await makeOnce(file, 'first', failing(code))).toBe('first')
  expect(await makeOnce(file, 'second', failing(code))).toBe('first')
  expect(readdirSync(directory)).toEqual(['books.json'])
})

test('what else goes wrong is told, and nothing is left', async () => {
  await expect(makeOnce(file, 'text', failing('EIO'))).rejects.toThrow('EIO')
  expect(readdirSync(directory)).toEqual([])
})
