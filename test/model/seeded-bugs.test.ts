import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { redisAvailable } from '../support/redis.ts'
import { type Histories, SCRIPTS, scriptsForModel, startHistories } from './run-histories.ts'
import { SEEDED_BUGS, type SeededBug } from './seeded-bugs.ts'

// From the same seed each time: a bug that was found is found again.
const FIRST_SEED = 1000
const HISTORIES = 250

let histories: Histories
beforeAll(async () => {
  if (redisAvailable) histories = await startHistories()
})
afterAll(async () => {
  await histories?.stop()
})

function scriptsWith({ file, find, replace }: SeededBug) {
  const text = readFileSync(join(SCRIPTS, file), 'utf8')
  expect(text.split(find).length, `${file} has it exactly once`).toBe(2)
  return scriptsForModel(new Map([[file, text.replace(find, () => replace)]]))
}

// One after the other, each on sixteen histories at once.
test.skipIf(!redisAvailable).each(SEEDED_BUGS)(
  'a random history finds the bug "$name"',
  async (bug) => {
    histories.use(scriptsWith(bug))
    expect(
      await histories.run(FIRST_SEED, HISTORIES, { anywhere: true }),
      `none of ${HISTORIES} histories found it`,
    ).toBeDefined()
  },
  180_000,
)
