/**
 * The estimate of a call's input against what the provider billed. It is meant never to be below, except where the call
 * says that input is unseen; what the recordings cannot tell is named.
 */

import { describe, expect, test } from 'vitest'
import { callOf, haveRecordings, loadMetered, meteringOf } from './recordings.ts'

/** The recording left out most of the request's body. */
const ELIDED = new Set(['anthropic-messages-unary-15', 'bedrock-invoke-unary-13'])
/** Providers that read less than they were sent. */
const READ_LESS = new Set(['perplexity'])

interface Estimate {
  readonly id: string
  readonly provider: string
  readonly highTokens: number
  readonly lowTokens: number
  readonly billed: number
  readonly unseen: boolean
}

async function estimates(): Promise<Estimate[]> {
  const found: Estimate[] = []
  for (const recording of await loadMetered()) {
    const billed = recording.expected.tokens?.['input_total']
    const metering = meteringOf(recording)
    if (!billed || !metering || !recording.request.body || ELIDED.has(recording.id)) continue
    const call = callOf(recording, metering)
    found.push({ id: recording.id, provider: recording.provider, ...call.input, billed, unseen: call.unseenInput })
  }
  return found
}

const all = await estimates()

describe.skipIf(!haveRecordings)('input is counted high', () => {
  const seen = all.filter((estimate) => !estimate.unseen)

  test('no bill is above the estimate of a call that hides nothing', () => {
    expect(seen.length).toBeGreaterThan(300)
    expect(seen.filter((estimate) => estimate.highTokens < estimate.billed)).toEqual([])
  })

  test('what is called certain was billed', () => {
    expect(all.filter((one) => !READ_LESS.has(one.provider) && one.lowTokens > one.billed)).toEqual([])
  })

  test('and not much too high: the median is below 4 times, of longer prompts below 3', () => {
    const median = (ratios: readonly number[]): number => ratios.toSorted((a, b) => a - b)[ratios.length >> 1] as number
    const ratio = (estimate: Estimate): number => estimate.highTokens / estimate.billed
    expect(median(seen.map(ratio))).toBeLessThan(4)
    expect(median(seen.filter((estimate) => estimate.billed > 300).map(ratio))).toBeLessThan(3)
  })
})
