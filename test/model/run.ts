/**
 * The long run, for a release:
 *
 *   node src/bootstrap.js test/model/run.ts --operations 10000000 --workers 2
 *
 * It can be stopped at any time; the same command goes on from the counts in its file. --restart begins anew, --seed N
 * at that seed. Exit code 1: scripts and model differ, and the shortest history that shows it is printed.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Progress, runWorkers } from './run-workers.ts'
import { printCase } from './shrink.ts'
import { describeCounts, operationsIn } from './tally.ts'

const { values } = parseArgs({
  options: {
    operations: { type: 'string', default: '300000' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string' },
    nice: { type: 'string', default: '10' },
    file: { type: 'string', default: join(tmpdir(), 'tollgate-model-run.json') },
    restart: { type: 'boolean', default: false },
  },
})
const operations = Number(values.operations)
const resumed = !values.restart && values.seed === undefined && existsSync(values.file)
const firstSeed = Number(values.seed ?? Math.floor(Math.random() * 1e9))
const begin: Progress = resumed
  ? (JSON.parse(readFileSync(values.file, 'utf8')) as Progress)
  : { firstSeed, nextSeed: firstSeed, counts: {} }
const doneBefore = operationsIn(begin.counts)
const startedMs = performance.now()
let shownMs = 0
let doneSoFar = doneBefore

console.log(
  `first seed ${begin.firstSeed}, ${resumed ? `goes on at seed ${begin.nextSeed} after ${doneBefore}` : 0} of ${operations} operations; counts in ${values.file}`,
)

function keep(progress: Progress): void {
  // Whole or not at all: a run that is killed here goes on from the file before.
  writeFileSync(`${values.file}.new`, JSON.stringify(progress))
  renameSync(`${values.file}.new`, values.file)
  doneSoFar = operationsIn(progress.counts)
  if (performance.now() - shownMs < 10_000) return
  shownMs = performance.now()
  console.log(progressLine(progress))
}

function progressLine(progress: Progress): string {
  const done = operationsIn(progress.counts)
  const seconds = (performance.now() - startedMs) / 1000
  const rate = (done - doneBefore) / seconds
  return `${done} operations, next seed ${progress.nextSeed}, ${rate.toFixed(0)} a second, ${((operations - done) / rate / 60).toFixed(1)} minutes left`
}

// Workers end with this process; what they are at is done again.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`stopped after ${doneSoFar} operations, 0 divergences; the same command goes on`)
    process.exit(0)
  })
}
const { progress, failure } = await runWorkers(begin, {
  operations,
  workers: Number(values.workers),
  niceness: Number(values.nice),
  onProgress: keep,
})

console.log(describeCounts(progress.counts))
if (failure) {
  console.log(`seed ${failure.seed}: the scripts differ from the model\n${failure.problem}`)
  console.log(printCase(`seed ${failure.seed}`, failure.steps))
  process.exitCode = 1
} else {
  const seconds = (performance.now() - startedMs) / 1000
  console.log(
    `${operationsIn(progress.counts)} operations from seed ${progress.firstSeed}, 0 divergences (${((operationsIn(progress.counts) - doneBefore) / seconds).toFixed(0)} a second)`,
  )
}
