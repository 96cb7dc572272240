/** Feeds a stream to a meter in pieces, and says what came out. */

import { StreamMeter } from '../../src/meter/stream-meter.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest, Framing, Metering } from '../../src/providers/provider.ts'
import { NO_HEADERS } from '../support/call-source.ts'

export interface Fed {
  /** All that a client gets, the terminal event in its place. */
  readonly bytes: Buffer
  readonly facts: AnswerFacts
  readonly outputTokens: number
  readonly finished: boolean
  readonly failed: boolean
  readonly terminal: boolean
  readonly endsByFraming: boolean
  readonly unread: boolean
}

export function feed(
  metering: Metering,
  call: CallRequest,
  pieces: Iterable<Buffer>,
  framing: Framing = 'sse',
  headers: AnswerHeaders = NO_HEADERS,
): Fed {
  const reader = metering.createStreamReader(call, framing, headers)
  const meter = new StreamMeter(reader, { framing })
  const out: Buffer[] = []
  for (const piece of pieces) out.push(...meter.push(piece))
  out.push(...meter.end())
  if (meter.terminal) out.push(meter.terminal)
  out.push(...meter.takeAfterTerminal())
  return {
    bytes: Buffer.concat(out),
    facts: meter.facts,
    outputTokens: meter.outputTokens,
    finished: meter.finished,
    failed: meter.failed,
    terminal: meter.terminal !== undefined,
    endsByFraming: reader.endsByFraming,
    unread: meter.unread,
  }
}

export function* inSteps(body: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < body.length; at += step) yield body.subarray(at, at + step)
}

/** Offsets behind each blank line. */
export function eventEnds(body: Buffer): number[] {
  const ends: number[] = []
  for (const blank of body.toString('latin1').matchAll(/(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)/g))
    ends.push(blank.index + blank[0].length)
  return ends
}

export function withLineEnds(body: Buffer, end: string): Buffer {
  return Buffer.from(body.toString('latin1').replaceAll(/\r\n|\n|\r/g, end), 'latin1')
}
