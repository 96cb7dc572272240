/**
 * The upstream's answer as far as it has come, and what its meters read in it: a meter of the kind that the body needs,
 * beside the bytes and never in their way. Writes to nobody.
 */
import { createDecoder } from '../meter/decode.ts'
import { JsonMeter } from '../meter/json-meter.ts'
import { OtherMeter } from '../meter/other-meter.ts'
import { StreamMeter } from '../meter/stream-meter.ts'
import type { AnswerFacts, AnswerHeaders, StreamReader } from '../providers/provider.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { type AnswerHead, RawAnswerHeaders, readAnswerHead } from './answer-head.ts'
import type { GuardedCall } from './call-guard.ts'
import type { Ending } from './decide-end.ts'
import { DecodeQueue } from './decode-queue.ts'

export const NO_FACTS: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

const NO_HEADERS: AnswerHeaders = { get: () => undefined }

export class UpstreamAnswer {
  readonly #admitted: AdmittedCall
  /** Undefined until its head has come. */
  status: number | undefined
  firstByteMonotonicMs: number | undefined
  /** [name, value, …] as the caller gets them. */
  headers: string[] = []
  /** As they came, compressed or not. */
  bodyBytes = 0
  /** Of a stream. */
  stream: StreamMeter | undefined
  isSse = false
  decoder: DecodeQueue | undefined
  #read: AnswerHeaders = NO_HEADERS
  #framed = false
  #opaque = false
  #reader: StreamReader | undefined
  #json: JsonMeter | undefined
  #other: OtherMeter | undefined

  constructor(admitted: AdmittedCall) {
    this.#admitted = admitted
  }

  takeHead(status: number, raw: readonly Buffer[]): AnswerHead {
    this.firstByteMonotonicMs = performance.now()
    this.status = status
    const { call, metering } = this.#admitted
    const head = readAnswerHead(status, raw, call.stream, metering.framing ?? 'sse')
    this.#framed = head.framed
    this.#opaque = head.opaque
    this.headers = head.headers
    this.#read = new RawAnswerHeaders(raw)
    return head
  }

  /** JSON, audio, text. */
  beginWhole(head: AnswerHead, call: GuardedCall, onRoom: () => void): void {
    const { jsonMembers, readOther } = this.#admitted.metering
    this.#json = new JsonMeter(jsonMembers)
    if (readOther) this.#other = new OtherMeter(head.contentType)
    this.#decodeFrom(head.encoding, call, onRoom)
  }

  /** `allowance`: output tokens that may pass. */
  beginStream(
    { framing, encoding }: AnswerHead,
    allowance: number,
    call: GuardedCall,
    onRoom: () => void,
  ): StreamMeter {
    const { metering, call: asked } = this.#admitted
    this.#reader = metering.createStreamReader(asked, framing, this.#read)
    this.stream = new StreamMeter(this.#reader, { framing })
    this.isSse = framing === 'sse'
    this.stream.allowance = allowance
    this.#decodeFrom(encoding, call, onRoom)
    return this.stream
  }

  #decodeFrom(encoding: string | undefined, call: GuardedCall, onRoom: () => void): void {
    const decoder = createDecoder(encoding, (bytes) => call.onDecoded(bytes))
    if (decoder) this.decoder = new DecodeQueue(decoder, call, onRoom)
  }

  /** Of a whole answer: a copy to meter. */
  meter(bytes: Buffer): void {
    this.#json?.push(bytes)
    this.#other?.push(bytes)
  }

  /** The bytes that the stream still holds back when its last ones have come. */
  endStream(stream: StreamMeter): readonly Buffer[] {
    return stream.end(this.#framed)
  }

  /** It has ended as its format says that it does, and was not cut short. */
  isWhole(stream: StreamMeter): boolean {
    return stream.failed || stream.finished || (this.#reader?.endsByFraming === true && this.#framed)
  }

  facts(): AnswerFacts {
    if (this.stream) return this.stream.facts
    const { metering, call } = this.#admitted
    if (!this.#json) return NO_FACTS
    if (!this.#json.isJson && this.#other && (this.status ?? 500) < 300)
      return metering.readOther?.(this.#other.end(), call, this.#read) ?? NO_FACTS
    return metering.readJson(this.#json.end(), call, this.#read)
  }

  /** The usage is the answer's last word. */
  get usageFinal(): boolean {
    return this.#json !== undefined || this.stream?.finished === true || this.stream?.terminal !== undefined
  }

  /** Delivered output: counted in a stream; of a JSON answer a guess from its length. */
  get outputTokens(): number {
    if (this.stream) return this.stream.outputTokens
    return this.#json && this.#admitted.call.generates ? Math.ceil(this.bodyBytes / 4) : 0
  }

  /** Something of the answer could not be read that may have said what it used. That it broke off is another matter. */
  unread(ending: Ending): boolean {
    if (this.#opaque || this.decoder?.failed) return true
    if (this.stream) return this.stream.unread && ending !== 'upstream_failed'
    return (this.#json?.unread ?? false) && (ending === 'complete' || ending === 'refused')
  }
}
