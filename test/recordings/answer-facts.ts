/** What our readers say of a recorded answer. */
import { JsonMeter } from '../../src/meter/json-meter.ts'
import { OtherMeter } from '../../src/meter/other-meter.ts'
import type { AnswerFacts, CallRequest, Metering } from '../../src/providers/provider.ts'
import { isStream } from './as-passed.ts'
import { feed } from './feed.ts'
import { answerHeadersOf, callOf, framingOf, meteringOf, type Recording, responseBody } from './recordings.ts'

export interface Prepared {
  readonly metering: Metering
  readonly call: CallRequest
}

export function prepared(recording: Recording): Prepared {
  const metering = meteringOf(recording)
  if (!metering) throw new Error(`${recording.request.path} is not metered`)
  return { metering, call: callOf(recording, metering) }
}

export function usageOf(recording: Recording, { metering, call }: Prepared): AnswerFacts {
  const body = responseBody(recording)
  const headers = answerHeadersOf(recording)
  if (isStream(recording)) return feed(metering, call, [body], framingOf(recording), headers).facts
  return wholeFacts(recording, { metering, call }, [body])
}

/** Of an answer that is no stream, fed in pieces. */
export function wholeFacts(recording: Recording, { metering, call }: Prepared, pieces: Iterable<Buffer>): AnswerFacts {
  const headers = answerHeadersOf(recording)
  const json = new JsonMeter(metering.jsonMembers)
  const other = new OtherMeter(recording.response.headers['content-type'] ?? '')
  for (const piece of pieces) {
    json.push(piece)
    other.push(piece)
  }
  const isOther = !json.isJson && metering.readOther !== undefined && recording.response.status < 300
  return isOther
    ? (metering.readOther as NonNullable<Metering['readOther']>)(other.end(), call, headers)
    : metering.readJson(json.end(), call, headers)
}
