import { Worker } from 'node:worker_threads'
import { ConfigUnpacker, type Portion } from './packed-config.ts'
import { type ParsedConfig, parseConfig } from './parse-config.ts'
import type { ParseJob } from './parse-worker.ts'
import { shownPath } from './problem.ts'

/** Up to here a config is parsed where it stands: some 20 ms; 64 KiB took up to 200. */
const INLINE_CHARACTERS = 16 * 1024
/** 4 MiB of accounts take 4 to 8 s of a core, and more where the machine is busy. */
const PARSE_MS_MAX = 60_000
const HEAP_MIB_MAX = 512
/** Parsing makes garbage: with the default of 16 MiB half of the time went into collecting it. */
const YOUNG_MIB = 128

/**
 * parseConfig without holding up the event loop: large files are parsed in a thread of their own, which is ended
 * after 60 s or 512 MiB; that too is a problem of the files.
 */
export async function parseConfigApart(job: ParseJob, inlineCharacters = INLINE_CHARACTERS): Promise<ParsedConfig> {
  const characters = job.files.tollgate.text.length + job.files.entitlements.text.length + job.files.prices.text.length
  if (characters <= inlineCharacters) return parseConfig(job.files, job.environment, job)
  const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
    workerData: { ...job, environment: { ...job.environment } },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX, maxYoungGenerationSizeMb: YOUNG_MIB },
  })
  try {
    return await collect(worker, job)
  } finally {
    await worker.terminate()
  }
}

function collect(worker: Worker, job: ParseJob): Promise<ParsedConfig> {
  const unpacker = new ConfigUnpacker()
  return new Promise((resolve, reject) => {
    const give = (message: string) => resolve({ problems: [{ file: largestFile(job), line: 1, column: 1, message }] })
    const timer = setTimeout(
      () => give(`took longer than ${PARSE_MS_MAX / 1000} s to read; make it smaller`),
      PARSE_MS_MAX,
    )
    worker.on('message', (portion: Portion) => {
      try {
        const parsed = unpacker.add(portion)
        if (!parsed) return worker.postMessage('next')
        clearTimeout(timer)
        resolve(parsed)
      } catch (error) {
        reject(error)
      }
    })
    worker.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') give(`took more than ${HEAP_MIB_MAX} MiB to read; make it smaller`)
      else reject(error)
    })
  })
}

function largestFile(job: ParseJob): string {
  const files = [job.files.tollgate, job.files.entitlements, job.files.prices]
  const largest = files.reduce((a, b) => (b.text.length > a.text.length ? b : a))
  return shownPath(largest.file)
}
