/**
 * A failing seed is printed, with the shortest history that fails: it belongs into cases.ts. MODEL_SEED runs one seed
 * again; MODEL_HISTORIES or MODEL_OPERATIONS for longer runs, MODEL_WORKERS processes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisAvailable } from '../support/redis.ts'
import { CASES } from './cases.ts'
import { type Failure, type Histories, STEPS, startHistories } from './run-histories.ts'
import { runWorkers } from './run-workers.ts'
import { printCase } from './shrink.ts'
import { describeCounts, operationsIn } from './tally.ts'

const { MODEL_SEED, MODEL_HISTORIES, MODEL_OPERATIONS, MODEL_WORKERS, CI } = process.env
const operations =
  MODEL_OPERATIONS !== undefined
    ? Number(MODEL_OPERATIONS)
    : MODEL_HISTORIES !== undefined
      ? Number(MODEL_HISTORIES) * STEPS
      : CI === 'true'
        ? 300_000
        : 20_000
const workers = Number(MODEL_WORKERS ?? 2)
// CI plays the same histories each time, so that red means the change under test; any other run looks further.
const firstSeed = Number(MODEL_SEED ?? (CI === 'true' ? 1 : Math.floor(Math.random() * 1e9)))

function described({ seed, problem, steps }: Failure): string {
  return `seed ${seed}: the scripts differ from the model\n${problem}\n${printCase(`seed ${seed}`, steps)}`
}

describe.skipIf(!redisAvailable)('scripts and model', () => {
  let histories: Histories
  beforeAll(async () => {
    histories = await startHistories()
  })
  afterAll(async () => {
    await histories?.stop()
  })

  test.each(CASES)('agree on what once failed: $name', async ({ steps }) => {
    expect((await histories.play(steps))?.problem).toBeUndefined()
  })

  test.runIf(MODEL_SEED)('agree on the history of MODEL_SEED', async () => {
    const failure = await histories.run(firstSeed, 1)
    expect(failure && described(await histories.shrink(failure))).toBeUndefined()
  })

  test.skipIf(MODEL_SEED)(
    `agree on every answer and balance of random histories, ${operations} operations (first seed ${firstSeed})`,
    async () => {
      const begin = { firstSeed, nextSeed: firstSeed, counts: {} }
      const { progress, failure } = await runWorkers(begin, { operations, workers })
      if (failure) expect.unreachable(described(failure))
      const done = operationsIn(progress.counts)
      console.log(`${done} operations from seed ${firstSeed}\n${describeCounts(progress.counts)}`)
      expect(done).toBeGreaterThanOrEqual(operations)
    },
    3_600_000,
  )
})
