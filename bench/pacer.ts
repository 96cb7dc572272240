/** A thread that wakes its parent at each due time, to a few hundredths of a millisecond. */
import { parentPort, workerData } from 'node:worker_threads'
import { monotonicMicros } from './traffic.ts'

const { startMicros, everyMicros, endMicros } = workerData as {
  readonly startMicros: number
  readonly everyMicros: number
  readonly endMicros: number
}

const cell = new Int32Array(new SharedArrayBuffer(4))
for (let due = startMicros; due < endMicros; due += everyMicros) {
  const waitMs = (due - monotonicMicros()) / 1000
  if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs)
  parentPort?.postMessage(null)
}
