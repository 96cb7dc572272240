/**
 * Reads the lines of a chat or generation as they pass. The last one says `"done":true`, why, and the counts; a line
 * with `error` is a failure after which nothing follows.
 * Source: github.com/ollama/ollama, docs/api.md; recorded traffic.
 */
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject, asText } from '../read-fields.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { readAnswer } from './ollama-answer.ts'
import { ollamaError } from './ollama-error.ts'

type Fields = Readonly<Record<string, unknown>>

const DONE = Buffer.from('done')
const ERROR = Buffer.from('error')
const MESSAGE = Buffer.from('message')
const ROLE = Buffer.from('role')
const RESPONSE = Buffer.from('response')
const THINKING = Buffer.from('thinking')
/** First byte of `true`. */
const TRUE = 0x74

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class OllamaStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #kind: 'chat' | 'generate'
  #facts: AnswerFacts = readAnswer({})
  #createdAt: string | undefined
  #sawHead = false
  #counted = 0
  /** Of the line scanned last. */
  #isLast = false
  #isError = false

  constructor(call: CallRequest, kind: 'chat' | 'generate') {
    this.#call = call
    this.#kind = kind
  }

  get facts(): AnswerFacts {
    return this.#facts
  }

  get outputTokens(): number {
    return this.#facts.usage ? totalOutput(this.#facts.usage) : this.#counted
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(event.data)
  }

  onEvent(event: StreamEvent): EventVerdict {
    this.#counted += this.#scan(event.data)
    if (this.#isError) this.failed = true
    if (!this.#isLast && this.#sawHead) return 'pass'
    const line = this.#parse(event.data)
    if (!line) return 'pass'
    this.#sawHead = true
    this.#createdAt = asText(line['created_at']) ?? this.#createdAt
    this.#facts = { ...readAnswer(line), model: asText(line['model']) ?? this.#facts.model }
    if (line['done'] !== true) return 'pass'
    this.finished = true
    return 'terminal'
  }

  /** A line of text is never so long; the last one may be, by the tokens of its `context` (a few bytes each). */
  onOversized(head: Buffer, tail: Buffer): void {
    if (!head.includes('"done":true') && !tail.includes('"done":true')) return
    this.finished = true
    this.#facts = { ...readAnswer(countsIn(tail)), model: this.#facts.model }
  }

  #scan(data: Buffer): number {
    cursor.open(data)
    counter.reset()
    this.#isLast = false
    this.#isError = false
    let inMessage = false
    while (cursor.next()) {
      if (cursor.depth === 1) {
        inMessage = cursor.keyIs(MESSAGE)
        if (cursor.keyIs(DONE)) this.#isLast = cursor.firstByte === TRUE
        else if (cursor.isString && cursor.keyIs(ERROR)) this.#isError = true
        else if (cursor.isString && (cursor.keyIs(RESPONSE) || cursor.keyIs(THINKING)))
          counter.addText(data, cursor.valueStart, cursor.valueEnd)
        // Content, thinking, and what tools are called with.
      } else if (inMessage && cursor.isString && !cursor.keyIs(ROLE))
        counter.addText(data, cursor.valueStart, cursor.valueEnd)
    }
    return counter.tokens
  }

  #parse(data: Buffer): Fields | undefined {
    try {
      return asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  cutEnding(): Buffer {
    const { usage, model } = this.#facts
    const answer = this.#kind === 'chat' ? { message: { role: 'assistant', content: '' } } : { response: '' }
    return lineOf({
      model: model ?? this.#call.model,
      ...(this.#createdAt === undefined ? {} : { created_at: this.#createdAt }),
      ...answer,
      done: true,
      done_reason: 'length',
      prompt_eval_count: usage ? totalInput(usage) : this.#call.input.highTokens,
      eval_count: this.outputTokens,
    })
  }

  errorEvent(error: ErrorFacts): Buffer {
    return lineOf(ollamaError(error))
  }
}

function lineOf(value: Fields): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

/** The counts stand behind `context`. */
function countsIn(tail: Buffer): Fields {
  const counts: Record<string, number> = {}
  for (const name of ['prompt_eval_count', 'eval_count']) {
    const found = new RegExp(`"${name}":(\\d{1,15})[,}]`).exec(tail.toString('latin1'))
    if (found) counts[name] = Number(found[1])
  }
  return counts
}
