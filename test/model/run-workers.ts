/** Many histories on several processes, each with a server of its own, until so many operations were done. */
import { type ChildProcess, fork } from 'node:child_process'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Failure } from './run-histories.ts'
import { addCounts, type Counts, operationsIn } from './tally.ts'

const WORKER = fileURLToPath(new URL('model-worker.ts', import.meta.url))
/** Histories a worker is handed at a time: a few seconds of work, after which its server is emptied. */
const BATCH = 32

export interface Batch {
  readonly firstSeed: number
  readonly count: number
}
export interface BatchResult {
  readonly firstSeed: number
  readonly counts: Counts
  readonly failure: Failure | undefined
}

/** What is done: all seeds below `nextSeed`, and what they came to. A run goes on from here. */
export interface Progress {
  readonly firstSeed: number
  readonly nextSeed: number
  readonly counts: Counts
}

export interface RunOptions {
  readonly operations: number
  readonly workers: number
  /** 0 to 19, of the workers and their servers. */
  readonly niceness?: number
  readonly onProgress?: (progress: Progress) => void
}

/** Ends at the first failure or after enough operations. */
export async function runWorkers(
  begin: Progress,
  options: RunOptions,
): Promise<{ readonly progress: Progress; readonly failure: Failure | undefined }> {
  let progress = begin
  let failure: Failure | undefined
  let handedOut = begin.nextSeed
  // Batches that were done before one of an earlier seed.
  const early = new Map<number, Counts>()
  const isOver = () => failure !== undefined || operationsIn(progress.counts) >= options.operations
  const take = ({ firstSeed, counts, failure: found }: BatchResult): void => {
    failure ??= found
    if (found) return
    early.set(firstSeed, counts)
    for (let done = early.get(progress.nextSeed); done; done = early.get(progress.nextSeed)) {
      early.delete(progress.nextSeed)
      progress = { ...progress, nextSeed: progress.nextSeed + BATCH, counts: addCounts(progress.counts, done) }
    }
    options.onProgress?.(progress)
  }
  const work = async (): Promise<void> => {
    // Without the options of a test runner that starts this.
    const worker = fork(WORKER, { serialization: 'advanced', execArgv: [] })
    if (options.niceness !== undefined && worker.pid !== undefined) setPriority(worker.pid, options.niceness)
    try {
      while (!isOver()) {
        const batch = { firstSeed: handedOut, count: BATCH }
        handedOut += BATCH
        take(await resultOf(worker, batch))
      }
    } finally {
      if (worker.connected) worker.disconnect()
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
  return { progress, failure }
}

function resultOf(worker: ChildProcess, batch: Batch): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a worker ended with ${code}`))
    worker.once('exit', onExit)
    worker.once('message', (result) => {
      worker.off('exit', onExit)
      resolve(result as BatchResult)
    })
    worker.send(batch)
  })
}
