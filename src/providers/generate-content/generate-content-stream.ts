/**
 * Reads the chunks of a streamed answer as they pass: server-sent events, or elements of one JSON array. Each may restate
 * the usage, and the last one counts, even where it says less. Behind a finish reason only the framing's end follows.
 * Source: googleapis google/ai/generativelanguage/v1beta/generative_service.proto, GenerateContentResponse; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import type { AnswerFacts, CallRequest, EventVerdict, Framing, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { ChunkScan, IMAGE_TOKENS } from './chunk-scan.ts'
import { readGenerateUsage, readTier } from './generate-content-usage.ts'
import { googleError } from './google-error.ts'
import { countSearches, readGrounding } from './grounding.ts'

const USAGE_METADATA = Buffer.from('"usageMetadata":')
const CANDIDATES_MAX = 64
const SEARCHES_MAX = 1024
const FINISHED_IN_TAIL = /"finishReason"\s*:\s*(?:"(?!FINISH_REASON_UNSPECIFIED)|[1-9])/

/** One for the process: scans are synchronous, and what they say is taken at once. */
const scan = new ChunkScan()

export class GenerateContentStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #framing: Framing
  #usage: Usage | undefined
  #tier: string | undefined
  #id: string | undefined
  #model: string | undefined
  #searches: { readonly queries: unknown[]; readonly chunks: unknown[] } | undefined
  /** Output by the last usage that states any, and what was counted since. */
  #stated = 0
  #counted = 0
  /** Candidates that have begun, and those that have had their last word. */
  readonly #open = new Set<number>()
  readonly #closed = new Set<number>()

  constructor(call: CallRequest, framing: Framing) {
    this.#call = call
    this.#framing = framing
  }

  get outputTokens(): number {
    return this.#stated + this.#counted
  }

  get facts(): AnswerFacts {
    return {
      usage: this.#usageWithSearches(),
      model: this.#model,
      providerId: this.#id,
      serviceTier: this.#tier,
      storedId: undefined,
    }
  }

  /** Where the event states the output, that counts: thoughts are billed and seldom shown. */
  textTokens(event: StreamEvent): number {
    scan.read(event.data)
    return scan.stated < 0 ? scan.tokens : Math.max(0, scan.stated - this.outputTokens)
  }

  onEvent({ data }: StreamEvent): EventVerdict {
    scan.read(data)
    if (scan.stated < 0) this.#counted += scan.tokens
    else this.#state(scan.stated)
    if (scan.modelEnd > 0) this.#model ??= data.toString('utf8', scan.modelStart, scan.modelEnd)
    if (scan.idEnd > 0) this.#id ??= data.toString('utf8', scan.idStart, scan.idEnd)
    if (scan.failed) this.failed = true
    if (scan.blocked) this.finished = true
    this.#noteCandidates()
    if (scan.usageEnd > 0) this.#takeUsage(this.#parse(data, scan.usageStart, scan.usageEnd))
    if (scan.grounded) this.#takeGrounding(this.#parse(data, 0, data.length))
    return 'pass'
  }

  /** A picture in base64: behind it stand the finish reason and the usage. */
  onOversized(_head: Buffer, tail: Buffer): void {
    const usage = usageInTail(tail, USAGE_METADATA)
    const output = readGenerateUsage(usage)?.tokens.output
    this.#takeUsage(usage)
    if (output === undefined || !this.#usage) this.#counted += IMAGE_TOKENS
    else this.#state(totalOutput(this.#usage))
    if (FINISHED_IN_TAIL.test(tail.toString('latin1'))) this.finished = true
  }

  #state(tokens: number): void {
    this.#stated = tokens
    this.#counted = 0
  }

  #parse(data: Buffer, start: number, end: number): unknown {
    try {
      return JSON.parse(data.toString('utf8', start, end))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  /** A chunk may state nothing but the tier. */
  #takeUsage(value: unknown): void {
    this.#tier = readTier(value) ?? this.#tier
    this.#usage = readGenerateUsage(value) ?? this.#usage
  }

  #takeGrounding(value: unknown): void {
    const { queries, chunks } = readGrounding(asObject(value) ?? {})
    this.#searches ??= { queries: [], chunks: [] }
    if (this.#searches.queries.length + this.#searches.chunks.length > SEARCHES_MAX) return
    this.#searches.queries.push(...queries)
    this.#searches.chunks.push(...chunks)
  }

  #usageWithSearches(): Usage | undefined {
    if (!this.#usage || !this.#searches) return this.#usage
    const searches = countSearches(this.#searches, this.#model ?? this.#call.model)
    return searches > 0 ? { ...this.#usage, units: { web_search: searches } } : this.#usage
  }

  #noteCandidates(): void {
    for (const index of scan.candidates)
      if (this.#open.size < CANDIDATES_MAX && !this.#closed.has(index)) this.#open.add(index)
    for (const index of scan.finished) {
      this.finished = true
      this.#open.delete(index)
      if (this.#closed.size < CANDIDATES_MAX) this.#closed.add(index)
    }
  }

  cutEnding(): Buffer {
    const open = this.#open.size > 0 ? [...this.#open] : this.#closed.size > 0 ? [] : [0]
    return this.#frame({
      candidates: open.map((index) => ({
        content: { parts: [{ text: '' }], role: 'model' },
        finishReason: 'MAX_TOKENS',
        index,
      })),
      usageMetadata: this.#countedUsage(),
      modelVersion: this.#model ?? this.#call.model,
      ...(this.#id === undefined ? {} : { responseId: this.#id }),
    })
  }

  errorEvent(error: ErrorFacts): Buffer {
    return this.#frame(googleError(error))
  }

  /** What was held and counted: no usage of the provider's will come any more. */
  #countedUsage(): Readonly<Record<string, number>> {
    const prompt = this.#usage?.tokens.input === undefined ? this.#call.input.highTokens : totalInput(this.#usage)
    const thoughts = Math.min(this.#usage?.reasoning ?? 0, this.outputTokens)
    return {
      promptTokenCount: prompt,
      candidatesTokenCount: this.outputTokens - thoughts,
      ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
      totalTokenCount: prompt + this.outputTokens,
    }
  }

  #frame(value: unknown): Buffer {
    const json = JSON.stringify(value)
    return Buffer.from(this.#framing === 'json_array' ? json : `data: ${json}\r\n\r\n`)
  }
}
