/** One process of many: runs the histories it is handed on a server of its own. Started by run-workers.ts. */
import { startHistories } from './run-histories.ts'
import type { Batch, BatchResult } from './run-workers.ts'
import { createTally } from './tally.ts'

const histories = await startHistories()

process.on('message', async ({ firstSeed, count }: Batch) => {
  const tally = createTally()
  const failure = await histories.run(firstSeed, count, { tally })
  // Before what may take a while.
  if (failure) console.error(`seed ${failure.seed} fails: ${failure.problem.slice(0, 500)}\nMaking it short …`)
  const result: BatchResult = {
    firstSeed,
    counts: tally.counts(),
    failure: failure && (await histories.shrink(failure)),
  }
  process.send?.(result)
})
// The server ends with this process.
process.on('disconnect', () => process.exit())
