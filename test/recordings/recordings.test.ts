/**
 * Recorded traffic of the providers through the meters: tokens as the provider billed them, bytes as it sent them,
 * however the bytes were cut. The recordings lie beside the repository; without them the composed answers remain.
 */

import { describe, expect, test } from 'vitest'
import { prepared, usageOf, wholeFacts } from './answer-facts.ts'
import { asPassed, isStream, isWhole, withoutOurUsage } from './as-passed.ts'
import { eventEnds, type Fed, feed, inSteps, withLineEnds } from './feed.ts'
import {
  answerHeadersOf,
  framingOf,
  haveRecordings,
  inTheirTerms,
  loadMetered,
  ofOurKinds,
  RECORDINGS_DIR,
  responseBody,
  unitsOf,
} from './recordings.ts'

const recordings = await loadMetered()
if (!haveRecordings) console.warn(`no recordings at ${RECORDINGS_DIR}: their tests are skipped`)

/** Small streams are cut in two at each byte. */
const TWO_PIECES_MAX = 2 * 1024
/** Larger ones are cut at each offset and every so many bytes behind it, a round for each offset: at every byte too. */
const STRIDE = 64
/** Two million steps of a byte each (a picture) take half a minute and cut nothing that smaller ones do not. */
const BYTE_STEPS_MAX = 256 * 1024

describe.skipIf(!haveRecordings)('tokens are those that the provider billed', () => {
  const stated = recordings.filter((recording) => recording.expected.tokens && !recording.expected.ambiguous)
  test.each(stated.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const facts = usageOf(recording, prepared(recording))
    const theirs = ofOurKinds(recording.expected.tokens ?? {})
    expect(inTheirTerms(facts.usage, theirs)).toEqual(theirs)
    expect(facts.usage?.units ?? {}).toMatchObject(unitsOf(recording))
    if (recording.expected.model) expect(facts.model).toBe(recording.expected.model)
    // Google's may be the number of one.
    if (recording.expected.serviceTier) expect(facts.serviceTier).toBe(String(recording.expected.serviceTier))
  })

  const contradictory = recordings.filter((recording) => recording.expected.ambiguous)
  test.each(contradictory.map((recording) => [recording.id, recording] as const))(
    'parts are clamped to their whole where the provider contradicts itself: %s',
    (_id, recording) => {
      const { usage } = usageOf(recording, prepared(recording))
      const theirs = recording.expected.tokens ?? {}
      expect(inTheirTerms(usage, { input_total: 0, output_total: 0 })).toEqual({
        input_total: theirs['input_total'],
        output_total: theirs['output_total'],
      })
      expect(usage?.tokens.cached_input ?? 0).toBeLessThanOrEqual(theirs['input_total'] as number)
      expect(usage?.flags?.length).toBeGreaterThan(0)
    },
  )

  const absent = recordings.filter(({ expected }) => expected.usageAbsent && expected.usageAbsent !== 'units-only')
  test.each(absent.map((recording) => [recording.id, recording] as const))(
    'none stated, none read: %s',
    (_id, recording) => {
      expect(usageOf(recording, prepared(recording)).usage).toBeUndefined()
    },
  )
})

describe.skipIf(!haveRecordings)('JSON is read the same however it is cut', () => {
  const whole = recordings.filter((recording) => !isStream(recording))
  test.each(whole.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const { metering, call } = prepared(recording)
    const body = responseBody(recording)
    const expected = usageOf(recording, { metering, call })
    for (const step of body.length > BYTE_STEPS_MAX ? [1399, 70_001] : [1, 7, 1400])
      expect(JSON.stringify(wholeFacts(recording, { metering, call }, inSteps(body, step)))).toBe(
        JSON.stringify(expected),
      )
  })
})

describe.skipIf(!haveRecordings)('a stream passes byte for byte and is read the same however it is cut', () => {
  const streams = recordings.filter(isStream)
  test.each(streams.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const { metering, call } = prepared(recording)
    const body = responseBody(recording)
    const framing = framingOf(recording)
    const headers = answerHeadersOf(recording)
    const fed = (pieces: Iterable<Buffer>): Fed => feed(metering, call, pieces, framing, headers)
    const whole = fed([body])
    const { passed } = asPassed(recording)
    const facts = JSON.stringify(whole.facts)
    const same = (one: Fed, how: string): void => {
      if (!one.bytes.equals(passed)) throw new Error(`other bytes ${how}`)
      if (JSON.stringify(one.facts) !== facts) throw new Error(`other facts ${how}`)
      if (one.outputTokens !== whole.outputTokens || one.finished !== whole.finished)
        throw new Error(`other end ${how}`)
    }
    if (isWhole(whole)) expect(whole.unread).toBe(false)
    same(whole, 'whole')
    for (const step of [1, 3, 1400]) same(fed(inSteps(body, step)), `in steps of ${step}`)
    for (const [pieces, how] of cuts(body)) same(fed(pieces), how)
  })

  const events = streams.filter((recording) => framingOf(recording) === 'sse')
  test.each(events.map((recording) => [recording.id, recording] as const))(
    'whatever its line ends: %s',
    (_id, recording) => {
      const { metering, call } = prepared(recording)
      const whole = feed(metering, call, [responseBody(recording)])
      for (const end of ['\n', '\r\n', '\r']) {
        const body = withLineEnds(withoutOurUsage(responseBody(recording), call.parsed), end)
        const passed = isWhole(whole) ? body : body.subarray(0, eventEnds(body).at(-1) ?? 0)
        for (const step of [1, 5, 1400]) {
          const fed = feed(metering, call, inSteps(withLineEnds(responseBody(recording), end), step))
          expect(fed.bytes.equals(passed)).toBe(true)
          expect(fed.facts).toEqual(whole.facts)
          expect(fed.outputTokens).toBe(whole.outputTokens)
        }
      }
    },
  )
})

function* cuts(body: Buffer): Generator<[Iterable<Buffer>, string]> {
  if (body.length <= TWO_PIECES_MAX) {
    for (let at = 1; at < body.length; at++) yield [[body.subarray(0, at), body.subarray(at)], `cut at ${at}`]
    return
  }
  for (let offset = 1; offset <= STRIDE; offset++)
    yield [[body.subarray(0, offset), ...inSteps(body.subarray(offset), STRIDE)], `cut at ${offset} + n × ${STRIDE}`]
}
