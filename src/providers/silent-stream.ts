/**
 * For endpoints whose answers are no streams: should one come all the same, its bytes go on, nothing is read of it, and
 * the charge is an estimate.
 */
import type { ErrorFacts } from '../errors.ts'
import type { AnswerFacts, ErrorBody, EventVerdict, StreamReader } from './provider.ts'

const EMPTY = Buffer.alloc(0)
const NOTHING: AnswerFacts = {
  usage: undefined,
  model: undefined,
  providerId: undefined,
  serviceTier: undefined,
  storedId: undefined,
}

export class SilentStream implements StreamReader {
  readonly facts = NOTHING
  readonly outputTokens = 0
  readonly finished = false
  readonly endsByFraming = true
  readonly failed = false
  readonly unreadable = false
  readonly #errorBody: (error: ErrorFacts) => ErrorBody

  constructor(errorBody: (error: ErrorFacts) => ErrorBody) {
    this.#errorBody = errorBody
  }

  onEvent(): EventVerdict {
    return 'pass'
  }

  textTokens(): number {
    return 0
  }

  onOversized(): void {}

  cutEnding(): Buffer {
    return EMPTY
  }

  errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(`data: ${this.#errorBody(error).body}\n\n`)
  }
}
