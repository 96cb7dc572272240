/**
 * Recorded traffic of the providers through the meters: tokens as the provider billed them, bytes as it sent them,
 * however the bytes were cut. The recordings lie beside the repository; without them the composed answers remain.
 */

import { describe, expect, test } from 'vitest'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import type { CallRequest, Metering } from '../../src/providers/provider.ts'
import { NO_HEADERS } from '../support/call-source.ts'
import { cutEvents, eventEnds, type Fed, feed, inSteps, withLineEnds } from './feed.ts'
import {
  callOf,
  haveRecordings,
  inTheirTerms,
  loadRecordings,
  meteringOf,
  ofOurKinds,
  RECORDINGS_DIR,
  type Recording,
  responseBody,
  upstreamOf,
} from './recordings.ts'

const recordings = loadRecordings()
if (!haveRecordings) console.warn(`no recordings at ${RECORDINGS_DIR}: their tests are skipped`)

const OWN = new Set(['openai', 'anthropic'])
/** Larger streams are cut in every event at once, a round for each offset: every byte too, in a hundredth of the time. */
const TWO_PIECES_MAX = 8 * 1024
const STRIDE = 512
/** Streams of the other providers are cut in two at this many places, evenly spread. */
const SAMPLED_CUTS = 24

function prepared(recording: Recording): { metering: Metering; call: CallRequest } {
  const metering = meteringOf(recording)
  if (!metering) throw new Error(`${recording.request.path} is not metered`)
  const call = callOf(recording, metering)
  if (recording.request.body) {
    const body = Buffer.from(JSON.stringify(recording.request.body))
    metering.prepare(body, call, { outputLimit: undefined, upstream: upstreamOf(recording) })
  }
  return { metering, call }
}

/** The stream without the usage chunk that only we asked for: chat's and completions' event with `"choices":[]`. */
function asPassed(body: Buffer, call: CallRequest): Buffer {
  const parsed = call.parsed as { readonly usageIsOurs?: boolean }
  if (!parsed.usageIsOurs) return body
  const kept: Buffer[] = []
  let start = 0
  for (const end of [...eventEnds(body), body.length]) {
    const event = body.subarray(start, end)
    if (!/"choices":\s*\[\]/.test(event.toString()) || !/"usage":\s*\{/.test(event.toString())) kept.push(event)
    start = end
  }
  return Buffer.concat(kept)
}

/** A stream that broke off loses half an event at its end. */
function unlessBroken(body: Buffer, fed: Fed): Buffer {
  return fed.finished || fed.failed ? body : body.subarray(0, eventEnds(body).at(-1) ?? 0)
}

function usageOf(recording: Recording, { metering, call }: { metering: Metering; call: CallRequest }) {
  const body = responseBody(recording)
  if (recording.streaming) return feed(metering, call, [body]).facts
  const meter = new JsonMeter(metering.jsonMembers)
  meter.push(body)
  return metering.readJson(meter.end(), call, NO_HEADERS)
}

describe.skipIf(!haveRecordings)('tokens are those that the provider billed', () => {
  const stated = recordings.filter((recording) => recording.expected.tokens && !recording.expected.ambiguous)
  test.each(stated.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const facts = usageOf(recording, prepared(recording))
    const theirs = ofOurKinds(recording.expected.tokens ?? {})
    const ours = inTheirTerms(facts.usage, theirs)
    // Grok's cached images: they stand in one kind only, cached input.
    if (ours && (theirs['input_image'] ?? 0) > 0) {
      ours['input_image'] = theirs['input_image'] as number
      expect(facts.usage?.tokens.image_input ?? 0).toBeLessThanOrEqual(theirs['input_image'] as number)
    }
    expect(ours).toEqual(theirs)
    expect(facts.usage?.units?.web_search ?? 0).toBe(recording.expected.toolCalls['web_search'] ?? 0)
    if (recording.expected.model) expect(facts.model).toBe(recording.expected.model)
    if (recording.expected.serviceTier) expect(facts.serviceTier).toBe(recording.expected.serviceTier)
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
      expect(usage?.tokens.cached_input).toBeLessThanOrEqual(theirs['input_total'] as number)
      expect(usage?.flags?.length).toBeGreaterThan(0)
    },
  )

  const absent = recordings.filter((recording) => recording.expected.usageAbsent)
  test.each(absent.map((recording) => [recording.id, recording] as const))(
    'none stated, none read: %s',
    (_id, recording) => {
      expect(usageOf(recording, prepared(recording)).usage).toBeUndefined()
    },
  )
})

describe.skipIf(!haveRecordings)('JSON is read the same however it is cut', () => {
  const whole = recordings.filter((recording) => !recording.streaming)
  test.each(whole.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const { metering, call } = prepared(recording)
    const body = responseBody(recording)
    const expected = usageOf(recording, { metering, call })
    for (const step of [1, 7, 1400]) {
      const meter = new JsonMeter(metering.jsonMembers)
      for (const piece of inSteps(body, step)) meter.push(piece)
      expect(metering.readJson(meter.end(), call, NO_HEADERS)).toEqual(expected)
    }
  })
})

describe.skipIf(!haveRecordings)('a stream passes byte for byte and is read the same however it is cut', () => {
  const streams = recordings.filter((recording) => recording.streaming)
  test.each(streams.map((recording) => [recording.id, recording] as const))('%s', (_id, recording) => {
    const { metering, call } = prepared(recording)
    const body = responseBody(recording)
    const whole = feed(metering, call, [body])
    const passed = unlessBroken(asPassed(body, call), whole)
    const facts = JSON.stringify(whole.facts)
    const same = (fed: Fed, how: string): void => {
      if (!fed.bytes.equals(passed)) throw new Error(`other bytes ${how}`)
      if (JSON.stringify(fed.facts) !== facts) throw new Error(`other facts ${how}`)
      if (fed.outputTokens !== whole.outputTokens || fed.finished !== whole.finished)
        throw new Error(`other end ${how}`)
    }
    same(whole, 'whole')
    for (const step of [1, 3, 1400]) same(feed(metering, call, inSteps(body, step)), `in steps of ${step}`)
    for (const [pieces, how] of cuts(recording, body)) same(feed(metering, call, pieces), how)
  })

  test.each(streams.map((recording) => [recording.id, recording] as const))(
    'whatever its line ends: %s',
    (_id, recording) => {
      const { metering, call } = prepared(recording)
      const expected = feed(metering, call, [responseBody(recording)])
      for (const end of ['\n', '\r\n', '\r']) {
        const body = withLineEnds(responseBody(recording), end)
        const passed = unlessBroken(asPassed(body, call), expected)
        for (const step of [1, 5, 1400]) {
          const fed = feed(metering, call, inSteps(body, step))
          expect(fed.bytes.equals(passed)).toBe(true)
          expect(fed.facts).toEqual(expected.facts)
          expect(fed.outputTokens).toBe(expected.outputTokens)
        }
      }
    },
  )
})

function* cuts(recording: Recording, body: Buffer): Generator<[Buffer[], string]> {
  if (OWN.has(recording.provider) && body.length > TWO_PIECES_MAX) {
    const ends = eventEnds(body)
    for (let offset = 1; offset <= STRIDE; offset++)
      yield [cutEvents(body, ends, offset, STRIDE), `each event cut at ${offset}`]
    return
  }
  const step = OWN.has(recording.provider) ? 1 : Math.ceil(body.length / SAMPLED_CUTS)
  for (let at = 1; at < body.length; at += step) yield [[body.subarray(0, at), body.subarray(at)], `cut at ${at}`]
}
