/** Reads the results of a batch that has ended, wherever they stand, and says what they come to. */

import { JsonMeter } from '../meter/json-meter.ts'
import { JsonElements } from '../providers/json-elements.ts'
import type { JobState, ResultReader, ResultSource } from '../providers/provider.ts'
import type { SettledEnd } from './end-of-job.ts'
import type { LongCall } from './long-call.ts'
import { ResultsSum } from './results-sum.ts'

/** GETs a path, handing its bytes on; answers the status. */
export type Get = (path: string, onBytes: (bytes: Buffer) => void) => Promise<number>

const PAGES_MAX = 100_000
const LF = 0x0a

/** Results inside the job's own object, as its bytes pass: of several arrays with the same results each is summed apart. */
export class InlineResults {
  readonly #sums = new Map<string, ResultsSum>()
  readonly #elements: JsonElements
  #current: ResultsSum | undefined

  constructor(reader: ResultReader, call: LongCall) {
    for (const path of reader.inline) this.#sums.set(path, new ResultsSum(reader, call.job.notes, call.prices))
    this.#elements = new JsonElements(reader.inline, {
      onStart: (path) => {
        this.#current = this.#sums.get(path)
        this.#current?.begin()
      },
      onBytes: (bytes) => this.#current?.bytes(bytes),
      onEnd: () => this.#current?.end(),
    })
  }

  push(bytes: Buffer): void {
    this.#elements.push(bytes)
  }

  /** The first array that has any. */
  get sum(): ResultsSum | undefined {
    return [...this.#sums.values()].find((sum) => sum.results > 0)
  }
}

/** open: there are fewer results than there must be. Undefined: a source could not be read now. Rejects with NoAnswer. */
export async function readResults(
  call: LongCall,
  reader: ResultReader,
  state: Extract<JobState, { readonly status: 'results' }>,
  inline: InlineResults | undefined,
  get: Get,
): Promise<SettledEnd | 'open' | undefined> {
  const sum = inline?.sum ?? new ResultsSum(reader, call.job.notes, call.prices)
  if (sum.results === 0) {
    for (const source of state.sources(call.job.path)) {
      const read = source.form === 'lines' ? readLines(source, sum, get) : readPages(source, sum, get)
      if (!(await read)) return undefined
    }
  }
  if (state.expects !== undefined && sum.own < state.expects) return 'open'
  const { used, statedCost } = sum
  const models = new Set(used.map(({ model }) => model))
  return {
    kind: 'settle',
    used,
    source: 'provider',
    facts: {
      model: models.size === 1 ? [...models][0] : undefined,
      serviceTier: undefined,
      ...(statedCost === undefined ? {} : { statedCost }),
    },
    raw: state.raw,
    results: sum.own,
    unread: sum.unread,
  }
}

async function readLines({ path }: ResultSource, sum: ResultsSum, get: Get): Promise<boolean> {
  let begun = false
  const finish = (): void => {
    if (begun) sum.end()
    begun = false
  }
  const status = await get(path, (bytes) => {
    let at = 0
    while (at < bytes.length) {
      const end = bytes.indexOf(LF, at)
      if (!begun) sum.begin()
      begun = true
      sum.bytes(bytes.subarray(at, end < 0 ? bytes.length : end))
      if (end < 0) return
      finish()
      at = end + 1
    }
  })
  finish()
  return status === 200
}

async function readPages({ path }: ResultSource, sum: ResultsSum, get: Get): Promise<boolean> {
  let token: string | undefined
  for (let page = 0; page < PAGES_MAX; page++) {
    const meter = new JsonMeter(['pagination_token'])
    const elements = new JsonElements(['results'], {
      onStart: () => sum.begin(),
      onBytes: (bytes) => sum.bytes(bytes),
      onEnd: () => sum.end(),
    })
    const mark = path.includes('?') ? '&' : '?'
    const target = token === undefined ? path : `${path}${mark}pagination_token=${encodeURIComponent(token)}`
    const status = await get(target, (bytes) => {
      meter.push(bytes)
      elements.push(bytes)
    })
    if (status !== 200) return false
    const next = meter.end()['pagination_token']
    if (typeof next !== 'string' || next === '' || next === token) return true
    token = next
  }
  return false
}
