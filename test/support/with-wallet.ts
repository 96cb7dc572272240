import { afterAll, beforeAll, test } from 'vitest'
import { redisAvailable, startRedis, type TestRedis } from './redis.ts'
import { type TestWallet, testWallet } from './wallet.ts'

/** One private server for the tests of a file; what it answers is filled in before the first of them. */
export function withWallet(args: readonly string[] = []): TestWallet & { readonly server: TestRedis } {
  const made = {} as TestWallet & { server: TestRedis }
  beforeAll(async () => {
    if (!redisAvailable) return
    const server = await startRedis({ args })
    Object.assign(made, testWallet(server.url), { server })
  })
  afterAll(async () => {
    if (!redisAvailable) return
    made.close()
    await made.server.stop()
  })
  return made
}

/** `test`, skipped with a message where no real server is installed (under CI it fails instead). */
export const redisTest = test.skipIf(!redisAvailable)
