/**
 * What the streams of text-generation APIs have in common: server-sent events of small JSON objects, of which the last
 * says why it ended and, at some, the counts.
 */
import type { Usage } from '../../core/usage.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { totalOutput } from '../usage-totals.ts'

export type Fields = Readonly<Record<string, unknown>>

const DONE = Buffer.from('[DONE]')

export abstract class TextStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  protected readonly call: CallRequest
  protected usage: Usage | undefined
  protected model: string | undefined
  protected providerId: string | undefined
  /** The event scanned last may carry usage, an ending or an error. */
  protected mustParse = false
  #counted = 0

  constructor(call: CallRequest) {
    this.call = call
  }

  get outputTokens(): number {
    return this.usage ? Math.max(totalOutput(this.usage), this.finished ? 0 : this.#counted) : this.#counted
  }

  get facts(): AnswerFacts {
    return {
      usage: this.usage,
      model: this.model,
      providerId: this.providerId,
      serviceTier: undefined,
      storedId: undefined,
    }
  }

  textTokens(event: StreamEvent): number {
    return this.scan(event.data)
  }

  onEvent(event: StreamEvent): EventVerdict {
    const data = event.data
    if (data[0] === DONE[0] && data.subarray(0, DONE.length).equals(DONE)) {
      this.finished = true
      return 'terminal'
    }
    this.#counted += this.scan(data)
    if (event.name === 'error') this.failed = true
    if (!this.mustParse) return 'pass'
    try {
      const fields = asObject(JSON.parse(data.toString()))
      if (fields) this.read(fields)
    } catch {
      this.unreadable = true
    }
    return 'pass'
  }

  /** Events are small; what is large is not of the API. */
  onOversized(): void {}

  /** Output tokens of the text in one event; notes in `mustParse` whether it says more. */
  protected abstract scan(data: Buffer): number
  /** What an event says that must be parsed. */
  protected abstract read(event: Fields): void
  abstract cutEnding(): Buffer
  abstract errorEvent(error: Parameters<StreamReader['errorEvent']>[0]): Buffer
}
