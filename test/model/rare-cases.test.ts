import { afterAll, beforeAll, expect, test } from 'vitest'
import { redisAvailable } from '../support/redis.ts'
import { RARE_CASES } from './rare-cases.ts'
import { type Histories, startHistories } from './run-histories.ts'

let histories: Histories
beforeAll(async () => {
  if (redisAvailable) histories = await startHistories()
})
afterAll(async () => {
  await histories?.stop()
})

test.skipIf(!redisAvailable).each(RARE_CASES)('scripts and model agree: $name', async ({ steps }) => {
  expect((await histories.play(steps))?.problem).toBeUndefined()
})
