/** A stream of Anthropic's messages inside Bedrock's frames: the same events, and metrics beside the last one. */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { likelyInput } from '../likely-input.ts'
import { MessagesStream } from '../messages/messages-stream.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { answeredTier, requestId } from './answer-headers.ts'
import { ChunkPayload, chunkFrame, isFailure } from './chunk-payload.ts'
import { bedrockExceptionFrame } from './error-body.ts'
import type { InvokeParsed } from './invoke.ts'
import { METRICS, readInvokeUsage } from './invoke-facts.ts'

const METRICS_BYTES = Buffer.from(`"${METRICS}"`)

export class MessagesChunks implements StreamReader {
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #headers: AnswerHeaders
  readonly #stream: MessagesStream
  readonly #payload = new ChunkPayload()
  #metrics: unknown
  #usage: Usage | undefined

  constructor(call: CallRequest, headers: AnswerHeaders) {
    this.#call = call
    this.#headers = headers
    this.#stream = new MessagesStream((call.parsed as InvokeParsed).message ?? call)
  }

  get finished(): boolean {
    return this.#stream.finished
  }

  get outputTokens(): number {
    return this.#stream.outputTokens
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usage ?? this.#stream.facts.usage,
      model: this.#call.model,
      providerId: requestId(this.#headers) ?? this.#stream.facts.providerId,
      serviceTier: this.#stream.facts.serviceTier ?? answeredTier(this.#headers),
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.#stream.textTokens(this.#inner(event))
  }

  onEvent(event: StreamEvent): EventVerdict {
    if (isFailure(event)) {
      this.failed = true
      return 'pass'
    }
    const inner = this.#inner(event)
    const verdict = this.#stream.onEvent(inner)
    if (this.#stream.failed) this.failed = true
    if (this.#stream.unreadable) this.unreadable = true
    if (inner.data.includes(METRICS_BYTES)) this.#readMetrics(inner.data)
    return verdict
  }

  onOversized(): void {}

  #inner(event: StreamEvent): StreamEvent {
    return { name: '', data: this.#payload.read(event), raw: event.raw }
  }

  /** Message usage counts before them; they count where it is missing, and flag it where they say something else. */
  #readMetrics(data: Buffer): void {
    try {
      this.#metrics = asObject(JSON.parse(data.toString()))?.[METRICS]
    } catch {
      this.unreadable = true
    }
    const members = { usage: this.#stream.facts.usage?.raw, [METRICS]: this.#metrics }
    this.#usage = readInvokeUsage(members, this.#call, this.#headers)
  }

  cutEnding(): Buffer {
    const events = this.#stream.cutEvents()
    const metrics = { inputTokenCount: likelyInput(this.#call.input), outputTokenCount: this.outputTokens }
    const last = events.at(-1)
    return Buffer.concat([...events.slice(0, -1).map(chunkFrame), chunkFrame({ ...last, [METRICS]: metrics })])
  }

  errorEvent(error: ErrorFacts): Buffer {
    return bedrockExceptionFrame(error)
  }
}
