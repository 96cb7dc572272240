/** The thread that parses large files: one config, sent back in portions, each when the one before was taken over. */
import { parentPort, workerData } from 'node:worker_threads'
import { packConfig } from './packed-config.ts'
import { type ConfigFiles, parseConfig } from './parse-config.ts'
import type { Environment } from './substitute.ts'

export interface ParseJob {
  readonly files: ConfigFiles
  readonly environment: Environment
  readonly generation: number
  readonly nowMs: number
}

const job = workerData as ParseJob
const portions = packConfig(parseConfig(job.files, job.environment, job))

function sendNext(): void {
  const { value, done } = portions.next()
  if (done) parentPort?.close()
  else parentPort?.postMessage(value)
}

parentPort?.on('message', sendNext)
sendNext()
