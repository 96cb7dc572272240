/**
 * Reads the chunks of an `invoke-with-response-stream` in the words of whichever maker: text under the few names that
 * they use, a stop reason, and `amazon-bedrock-invocationMetrics` in the last chunk, which ends it.
 */
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import { likelyInput } from '../likely-input.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { totalOutput } from '../usage-totals.ts'
import { ChunkPayload, isFailure } from './chunk-payload.ts'
import { bedrockExceptionFrame } from './error-body.ts'
import { type ChunkShape, cutChunks } from './invoke-endings.ts'
import { invokeFacts, METRICS, streamMembers } from './invoke-facts.ts'

/** Names whose strings are what the model says, wherever they stand. */
const TEXT = names(
  'generation',
  'outputText',
  'completion',
  'text',
  'content',
  'reasoning',
  'reasoning_content',
  'arguments',
  'input',
  'message',
)
/** Members of the top whose strings were said before, or are Bedrock's own. */
const NOT_SAID = names(
  'response',
  'chat_history',
  'metadata',
  'usage',
  'amazon-bedrock-trace',
  'citations',
  'documents',
)
const FINISHED = names('stop_reason', 'finish_reason', 'completionReason', 'stopReason', 'finishReason')
/** Members that a chunk is parsed for. */
const USAGE = names(
  'usage',
  'metadata',
  METRICS,
  'inputTextTokenCount',
  'totalOutputTextTokenCount',
  'prompt_token_count',
  'amazon-bedrock-guardrailAction',
)
const SHAPES = names(
  'generation',
  'outputText',
  'completion',
  'text',
  'outputs',
  'choices',
  'contentBlockDelta',
  'event_type',
)
const CHOICES = names('delta', 'message', 'text')
const METRICS_NAME = Buffer.from(METRICS)
const RUNNING = Buffer.from('generation_token_count')
const INDEX = Buffer.from('contentBlockIndex')
const BLOCK_STOP = Buffer.from('contentBlockStop')
const OPEN_MAX = 1024
/** No answer has more tokens. */
const RUNNING_MAX = 100_000_000
const NULL = 0x6e
const QUOTE = 0x22

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class InvokeStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  readonly #headers: AnswerHeaders
  readonly #payload = new ChunkPayload()
  readonly #open = new Set<number>()
  readonly #members: Record<string, unknown> = {}
  #facts: AnswerFacts
  #ended = false
  #counted = 0
  /** Llama says in each chunk how many tokens it has made. */
  #running = 0
  readonly #shape: { top: string; choice: string } = { top: '', choice: '' }
  /** Of the chunk scanned last. */
  #stated = false
  #last = false
  #stop = false
  #runningNow = 0
  #block = -1
  #closes = false

  constructor(call: CallRequest, headers: AnswerHeaders) {
    this.#call = call
    this.#headers = headers
    this.#facts = invokeFacts({}, call, headers)
  }

  get facts(): AnswerFacts {
    return this.#facts
  }

  get outputTokens(): number {
    const { usage } = this.#facts
    if (this.#ended && usage) return totalOutput(usage)
    return this.#running > 0 ? this.#running : this.#counted
  }

  textTokens(event: StreamEvent): number {
    return this.#scan(this.#payload.read(event))
  }

  onEvent(event: StreamEvent): EventVerdict {
    if (isFailure(event)) {
      this.failed = true
      return 'pass'
    }
    const data = this.#payload.read(event)
    this.#counted += this.#scan(data)
    if (this.#runningNow > this.#running) this.#running = this.#runningNow
    if (this.#stop) this.finished = true
    if (this.#block >= 0 && this.#closes) this.#open.delete(this.#block)
    else if (this.#block >= 0 && this.#open.size < OPEN_MAX) this.#open.add(this.#block)
    if (this.#stated) this.#read(data)
    if (!this.#last) return 'pass'
    this.#ended = true
    return 'terminal'
  }

  onOversized(): void {}

  #scan(data: Buffer): number {
    cursor.open(data)
    counter.reset()
    this.#stated = false
    this.#last = false
    this.#stop = false
    this.#runningNow = 0
    this.#block = -1
    this.#closes = false
    let said = true
    while (cursor.next()) {
      if (cursor.depth === 1) {
        said = !isOneOf(NOT_SAID)
        this.#top()
      }
      if (cursor.isString && said && isOneOf(TEXT)) counter.addText(data, cursor.valueStart, cursor.valueEnd)
      else if (isOneOf(FINISHED)) this.#stop ||= cursor.firstByte === QUOTE
      else if (cursor.keyIs(INDEX)) this.#block = cursor.wholeNumber
      else if (cursor.depth === 3 && this.#shape.choice === '' && this.#shape.top === 'choices')
        this.#shape.choice = nameIn(CHOICES)
    }
    return counter.tokens
  }

  #top(): void {
    if (this.#shape.top === '') this.#shape.top = nameIn(SHAPES)
    if (cursor.keyIs(RUNNING)) this.#runningNow = runningCount(cursor.wholeNumber)
    else if (cursor.keyIs(BLOCK_STOP)) this.#closes = true
    else if (isOneOf(USAGE) && cursor.firstByte !== NULL) {
      this.#stated = true
      this.#last ||= cursor.keyIs(METRICS_NAME)
    }
  }

  #read(data: Buffer): void {
    try {
      const chunk = asObject(JSON.parse(data.toString()))
      if (!chunk) return
      Object.assign(this.#members, streamMembers(chunk))
      this.#facts = invokeFacts(this.#members, this.#call, this.#headers)
      if (this.#facts.counted) this.finished = true
    } catch {
      this.unreadable = true
      this.#last = false
    }
  }

  cutEnding(): Buffer {
    const counts = {
      inputTokens: this.#facts.usage?.tokens.input ?? likelyInput(this.#call.input),
      outputTokens: this.outputTokens,
    }
    return cutChunks(this.#shape as ChunkShape, counts, [...this.#open])
  }

  errorEvent(error: ErrorFacts): Buffer {
    return bedrockExceptionFrame(error)
  }
}

/** An absurd one is none: the deltas count then. */
function runningCount(count: number): number {
  return count > 0 && count <= RUNNING_MAX ? count : 0
}

function names(...list: string[]): readonly Buffer[] {
  return list.map((name) => Buffer.from(name))
}

function isOneOf(list: readonly Buffer[]): boolean {
  for (const name of list) if (cursor.keyIs(name)) return true
  return false
}

function nameIn(list: readonly Buffer[]): string {
  return list.find((name) => cursor.keyIs(name))?.toString() ?? ''
}
