/**
 * Reads the events of a run as they pass. The run itself comes with each of its states, with its usage from its end on;
 * where it waits for tools of the caller's, the stream ends and the run goes on.
 * Source: openai-node src/resources/beta/assistants.ts, AssistantStreamEvent; recorded traffic.
 */
import type { Usage } from '../../core/usage.ts'
import type { ErrorFacts } from '../../errors.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import type { AnswerFacts, CallRequest, EventVerdict, StreamEvent, StreamReader } from '../provider.ts'
import { asObject } from '../read-fields.ts'
import { usageInTail } from '../usage-in-tail.ts'
import { totalInput, totalOutput } from '../usage-totals.ts'
import { readChatUsage } from './chat-usage.ts'
import { openAIError } from './error-event.ts'
import { hasEnded, hasFailed, runFacts, runJob, storedIdOf } from './run-job.ts'

type Fields = Readonly<Record<string, unknown>>

const RUN = 'thread.run.'
const DONE = Buffer.from('[DONE]')
/** States of the run that tell nothing which its first one has not told. */
const PASSING = new Set(['queued', 'in_progress', 'cancelling'])
/** Members of a delta that hold what the model wrote: text, and the arguments of its tools. */
const WRITTEN = [Buffer.from('value'), Buffer.from('arguments'), Buffer.from('input')]
const ID = Buffer.from('id')
const THREAD_ID = Buffer.from('thread_id')

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class RunStream implements StreamReader {
  finished = false
  failed = false
  unreadable = false
  oversizedEnd = false
  readonly endsByFraming = false
  readonly #call: CallRequest
  /** What is known of the run: id, thread_id, model. */
  #run: Fields = {}
  #usage: Usage | undefined
  #counted = 0

  constructor(call: CallRequest) {
    this.#call = call
  }

  get outputTokens(): number {
    return this.#usage ? totalOutput(this.#usage) : this.#counted
  }

  get facts(): AnswerFacts {
    const job = this.finished ? undefined : runJob({ ...this.#run, status: 'in_progress' })
    const storedId = storedIdOf(this.#run, this.#call)
    return { ...(job ? { job } : {}), ...runFacts(this.#run), usage: this.#usage, storedId }
  }

  textTokens({ name, data }: StreamEvent): number {
    if (!name.endsWith('.delta')) return 0
    cursor.open(data)
    counter.reset()
    while (cursor.next())
      if (cursor.isString && WRITTEN.some((member) => cursor.keyIs(member)))
        counter.addText(data, cursor.valueStart, cursor.valueEnd)
    return counter.tokens
  }

  onEvent(event: StreamEvent): EventVerdict {
    const { name, data } = event
    this.#counted += this.textTokens(event)
    if (name.startsWith(RUN)) return this.#onRun(name.slice(RUN.length), data)
    if (name === 'error') this.failed = true
    return name === 'done' || data.equals(DONE) ? 'terminal' : 'pass'
  }

  /** `state`: queued, completed, …; also `step.created` and the like, of a step. */
  #onRun(state: string, data: Buffer): EventVerdict {
    const ended = hasEnded(state)
    if (state.includes('.') || (PASSING.has(state) && this.#run['id'] !== undefined)) return 'pass'
    const run = this.#parse(data)
    if (run) this.#take(run)
    if (!ended) return 'pass'
    this.#end(state)
    this.#usage = readChatUsage(run?.['usage'])
    return 'terminal'
  }

  #parse(data: Buffer): Fields | undefined {
    try {
      return asObject(JSON.parse(data.toString()))
    } catch {
      this.unreadable = true
      return undefined
    }
  }

  #take(run: Fields): void {
    const { id = this.#run['id'], thread_id = this.#run['thread_id'], model = this.#run['model'] } = run
    this.#run = { id, thread_id, model }
  }

  #end(state: string): void {
    this.finished = true
    if (hasFailed(state)) this.failed = true
  }

  /** A run with long instructions: ids stand before them, usage behind. */
  onOversized(head: Buffer, tail: Buffer): void {
    const start = head.toString('latin1')
    const state = /^event: ?thread\.run\.([a-z_]+)\r?\n/m.exec(start)?.[1]
    if (state === undefined) return
    const ids = firstIds(head.subarray(Math.max(0, head.indexOf('{'))))
    if (ids.id !== undefined) this.#run = { ...this.#run, ...ids }
    if (!hasEnded(state)) return
    this.#usage = readChatUsage(usageInTail(tail)) ?? this.#usage
    this.#end(state)
    this.oversizedEnd = true
  }

  cutEnding(): Buffer {
    const prompt = this.#usage ? totalInput(this.#usage) : this.#call.input.highTokens
    const completion = this.outputTokens
    const run = {
      object: 'thread.run',
      ...this.#run,
      status: 'incomplete',
      incomplete_details: { reason: 'max_completion_tokens' },
      usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    }
    return Buffer.from(`event: thread.run.incomplete\ndata: ${JSON.stringify(run)}\n\nevent: done\ndata: [DONE]\n\n`)
  }

  errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(`event: error\ndata: ${JSON.stringify(openAIError(error))}\n\n`)
  }
}

/** Of the beginning of a run; one that is cut off there would be another's. */
function firstIds(data: Buffer): { readonly id?: string; readonly thread_id?: string } {
  const ids: { id?: string; thread_id?: string } = {}
  cursor.open(data)
  while (cursor.next()) {
    if (cursor.depth !== 1 || !cursor.isString || cursor.valueEnd >= data.length) continue
    if (cursor.keyIs(ID)) ids.id = cursor.stringBytes.toString()
    else if (cursor.keyIs(THREAD_ID)) ids.thread_id = cursor.stringBytes.toString()
  }
  return ids
}
