/** Answers of a provider as the gateway reads them, without a gateway: whole ones, and streams cut at every byte. */
import { expect } from 'vitest'
import type { Format } from '../../src/config/snapshot.ts'
import type { Usage } from '../../src/core/usage.ts'
import { JsonMeter } from '../../src/meter/json-meter.ts'
import { StreamMeter } from '../../src/meter/stream-meter.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest, Framing, Metering } from '../../src/providers/provider.ts'
import { providers } from '../../src/providers/registry.ts'
import { NO_HEADERS, SOURCE } from './call-source.ts'

export interface Prepared {
  readonly metering: Metering
  readonly call: CallRequest
}

/** Throws where the path is not metered, or the body refused. */
export function prepared(format: Format, path: string, request: unknown): Prepared {
  const mark = path.indexOf('?')
  const metering = providers.get(format)?.match('POST', path)?.operation.metering
  if (!metering) throw new Error(`${format} does not meter ${path}`)
  const raw = Buffer.from(typeof request === 'string' ? request : JSON.stringify(request))
  const source = { ...SOURCE, path: mark < 0 ? path : path.slice(0, mark), query: mark < 0 ? '' : path.slice(mark) }
  return { metering, call: metering.readCall(raw, source) }
}

export function readWhole({ metering, call }: Prepared, body: unknown, headers = NO_HEADERS): AnswerFacts {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  let first: AnswerFacts | undefined
  for (const step of [bytes.length, 1, 7]) {
    const meter = new JsonMeter(metering.jsonMembers)
    for (let at = 0; at < bytes.length; at += step) meter.push(bytes.subarray(at, at + step))
    const facts = metering.readJson(meter.end(), call, headers)
    first ??= facts
    expect(facts).toEqual(first)
  }
  return first as AnswerFacts
}

export interface ReadStream {
  readonly facts: AnswerFacts
  readonly outputTokens: number
  readonly finished: boolean
  readonly failed: boolean
  readonly terminal: string | undefined
  readonly passed: string
}

/** The same facts and bytes however the stream is cut in two, and byte by byte. */
export function readStream(
  { metering, call }: Prepared,
  framing: Framing,
  body: string | Buffer,
  headers: AnswerHeaders = NO_HEADERS,
): ReadStream {
  const bytes = Buffer.from(body)
  const read = (pieces: Iterable<Buffer>): ReadStream => {
    const meter = new StreamMeter(metering.createStreamReader(call, framing, headers), { framing })
    const out: Buffer[] = []
    for (const piece of pieces) out.push(...meter.push(piece))
    out.push(...meter.end())
    const { facts, outputTokens, finished, failed, terminal } = meter
    if (terminal) out.push(terminal)
    out.push(...meter.takeAfterTerminal())
    return {
      facts,
      outputTokens,
      finished,
      failed,
      terminal: terminal?.toString(),
      passed: Buffer.concat(out).toString(),
    }
  }
  const whole = read([bytes])
  for (let at = 1; at < bytes.length; at++) expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole)
  expect(read(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(whole)
  return whole
}

/** A stream cut after `allowance` tokens, with its ending; undefined where it never had to be cut. */
export function cutStream(
  { metering, call }: Prepared,
  framing: Framing,
  body: string,
  allowance: number,
): string | undefined {
  const meter = new StreamMeter(metering.createStreamReader(call, framing, NO_HEADERS), { framing })
  meter.allowance = allowance
  const out = [...meter.push(Buffer.from(body))]
  if (!meter.blocked) return undefined
  expect(meter.outputTokens).toBeLessThanOrEqual(allowance)
  const ending = meter.cutEnding()
  return ending && Buffer.concat([...out, ending]).toString()
}

/** Usage without the provider's own object. */
export function counts(usage: Usage | undefined): Omit<Usage, 'raw'> | undefined {
  if (!usage) return undefined
  const { raw: _raw, ...rest } = usage
  return rest
}
