import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { DataDirLocked, lockDataDir } from '../../../src/wallet/data-lock.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tollgate-lock-'))
  return () => rmSync(dir, { recursive: true, force: true })
})
const lockFile = () => join(dir, 'gateway.lock')

test('a second gateway on one data_dir is refused, and may once the first is done', async () => {
  const unlock = await lockDataDir(dir)
  await expect(lockDataDir(dir)).rejects.toThrow(DataDirLocked)
  await expect(lockDataDir(dir)).rejects.toThrow(/in use by process \d+ on .*: stop it, or give/)
  unlock()
  const again = await lockDataDir(dir)
  again()
})

test('the lock of a process that was killed is taken over', async () => {
  const module = join(import.meta.dirname, '../../../src/wallet/data-lock.ts')
  const program = `import { lockDataDir } from '${module}'
    await lockDataDir(${JSON.stringify(dir)}); process.stdout.write('locked'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await expect(lockDataDir(dir)).rejects.toThrow(`process ${child.pid}`)
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('close', resolve))
  const unlock = await lockDataDir(dir)
  unlock()
})

test.each([
  ['our own process id from before a restart', { pid: process.pid, host: hostname(), started: '1' }],
  ['a process id that another program has by now', { pid: 1, host: hostname(), started: 'other' }],
])('%s does not lock us out', async (_, owner) => {
  writeFileSync(lockFile(), JSON.stringify(owner))
  const unlock = await lockDataDir(dir)
  expect(JSON.parse(readFileSync(lockFile(), 'utf8')).pid).toBe(process.pid)
  unlock()
})

test('another host counts as gone when its heartbeat stopped', async () => {
  writeFileSync(lockFile(), JSON.stringify({ pid: 7, host: 'a-container-of-before', started: '1' }))
  const old = new Date(Date.now() - 60_000)
  utimesSync(lockFile(), old, old)
  const unlock = await lockDataDir(dir)
  unlock()
})

test('of twenty that find a dead lock at once, one gets it', async () => {
  writeFileSync(lockFile(), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: '1' }))
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataDir(dir)))
  const won = results.filter((result) => result.status === 'fulfilled')
  expect(won).toHaveLength(1)
  for (const result of won) result.value()
})
