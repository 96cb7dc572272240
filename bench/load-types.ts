/** One run of the load generator, and what came of it. */

export interface LoadJob {
  readonly port: number
  /** The request as it stands on the wire. */
  readonly request: string
  /** Most connections at once. */
  readonly connections: number
  /** Calls a second, sent when they are due; undefined: each connection sends its next call when it has its answer. */
  readonly ratePerSecond: number | undefined
  readonly warmSeconds: number
  readonly seconds: number
  /** Events carry the time they were sent at: their delay is measured one by one. */
  readonly stamped: boolean
}

/** Microseconds. NaN where nothing was measured. */
export interface Spread {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

export interface LoadResult {
  /** Answered, of those that were due between the end of the warm-up and the end of the run. */
  readonly calls: number
  readonly seconds: number
  /** Without an answer, or with another status than 200; over the whole run. */
  readonly failed: number
  /** From when the call was due to its last byte. */
  readonly total: Spread
  /** From when the call was due to the first byte of the body. */
  readonly first: Spread
  readonly eventDelay: Spread
}
