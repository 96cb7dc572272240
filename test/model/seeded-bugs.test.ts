import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createWallet } from '../../src/wallet/redis-wallet.ts'
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.ts'
import { runHistory } from './random-history.ts'
import { SEEDED_BUGS, type SeededBug } from './seeded-bugs.ts'

const SCRIPTS = fileURLToPath(new URL('../../redis-scripts', import.meta.url))
// From the same seed each time: a bug that was found is found again.
const FIRST_SEED = 1000
const HISTORIES = 250
const STEPS = 150

let server: TestRedis
let redis: Redis
beforeAll(async () => {
  if (!redisAvailable) return
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis?.disconnect()
  await server?.stop()
})

function scriptsWith(bug: SeededBug): string {
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-bug-'))
  cpSync(SCRIPTS, directory, { recursive: true })
  const file = join(directory, bug.file)
  const text = readFileSync(file, 'utf8')
  expect(text.split(bug.find).length, `${bug.file} has it exactly once`).toBe(2)
  writeFileSync(
    file,
    text.replace(bug.find, () => bug.replace),
  )
  return directory
}

async function findBug(directory: string, name: string): Promise<number | undefined> {
  for (let i = 0; i < HISTORIES; i++) {
    const account = `${name.replace(/[^a-z]/g, '-')}-${i}`
    try {
      await runHistory(FIRST_SEED + i, account, (testClock) => createWallet(redis, { directory, testClock }), STEPS)
    } catch {
      return i
    }
  }
  return undefined
}

// Several at once: while the scripts of one run in Redis, the model of another runs here.
test.skipIf(!redisAvailable).concurrent.each(SEEDED_BUGS)(
  'a random history finds the bug "$name"',
  async (bug) => {
    const directory = scriptsWith(bug)
    try {
      expect(await findBug(directory, bug.name), 'histories until it was found').toBeDefined()
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  },
  180_000,
)
