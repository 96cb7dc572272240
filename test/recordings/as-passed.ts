/** What a caller is to get of a recorded answer: the provider's bytes but for the documented edits. */
import { eventEnds, type Fed, feed } from './feed.ts'
import { answerHeadersOf, callOf, framingOf, meteringOf, type Recording, responseBody } from './recordings.ts'

export interface Passed {
  readonly passed: Buffer
  /** The stream broke off: an error event of ours follows. */
  readonly endsWithError: boolean
}

export function isStream(recording: Recording): boolean {
  return recording.streaming && recording.response.status < 300
}

export function isWhole(fed: Fed): boolean {
  return fed.finished || fed.failed || fed.endsByFraming || fed.terminal
}

/** A stream passes without compression, without the usage chunk that only we asked for, and without half an event. */
export function asPassed(recording: Recording): Passed {
  const metering = meteringOf(recording)
  if (!isStream(recording) || !metering)
    return { passed: Buffer.from(recording.response.bodyBase64, 'base64'), endsWithError: false }
  const call = callOf(recording, metering)
  const received = responseBody(recording)
  const body = withoutOurUsage(received, call.parsed)
  const framing = framingOf(recording)
  const fed = feed(metering, call, [received], framing, answerHeadersOf(recording))
  if (isWhole(fed)) return { passed: body, endsWithError: false }
  const ends = framing === 'sse' ? (eventEnds(body).at(-1) ?? 0) : body.length
  return { passed: body.subarray(0, ends), endsWithError: true }
}

/** Chat's and completions' event with `"choices":[]`. */
export function withoutOurUsage(body: Buffer, parsed: unknown): Buffer {
  if (!(parsed as { readonly usageIsOurs?: boolean } | undefined)?.usageIsOurs) return body
  const kept: Buffer[] = []
  let start = 0
  for (const end of [...eventEnds(body), body.length]) {
    const event = body.subarray(start, end)
    if (!/"choices":\s*\[\]/.test(event.toString()) || !/"usage":\s*\{/.test(event.toString())) kept.push(event)
    start = end
  }
  return Buffer.concat(kept)
}
