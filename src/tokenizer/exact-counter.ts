/**
 * Counts prompts by the model's own tokenizer, in a thread that is started when the first plan asks for it: loading one
 * takes a second and 60 MB, counting a second for 6 MB of prose. Whatever is too long, or takes too long, is left to the
 * estimate: nothing waits longer than `WAIT_MS`, and the event loop never.
 */
import { Worker } from 'node:worker_threads'
import type { ExactTexts } from '../core/encoding.ts'
import type { Log } from '../log.ts'
import type { CountReply, CountRequest } from './tokenizer-worker.ts'

/** 256 Ki characters: some 50 ms of prose. */
const CHARACTERS_MAX = 256 * 1024
/** Asked for and not answered yet, all calls together. */
const WAITING_CHARACTERS_MAX = 1024 * 1024
const WAIT_MS = 100
/** After a thread has died. */
const START_AGAIN_MS = 10_000
const HEAP_MIB_MAX = 512

interface Waiting {
  readonly characters: number
  readonly answer: (tokens: number | undefined) => void
}

export class ExactCounter {
  readonly #log: Log
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #characters = 0
  #nextId = 1
  #startAgainAtMs = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** A plan asks for exact counts: the tokenizers are loaded before the first call needs them. */
  warm(): void {
    void this.count({ encoding: 'o200k_base', texts: [''] })
    void this.count({ encoding: 'cl100k_base', texts: [''] })
  }

  /** undefined: too long, too busy, or not there yet. */
  count({ encoding, texts }: ExactTexts): Promise<number | undefined> {
    let characters = 0
    for (const text of texts) characters += text.length
    const worker = this.#started()
    const tooMuch = characters > CHARACTERS_MAX || this.#characters + characters > WAITING_CHARACTERS_MAX
    if (worker === undefined || tooMuch) return Promise.resolve(undefined)
    const id = this.#nextId++
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, WAIT_MS, undefined)
      this.#characters += characters
      this.#waiting.set(id, {
        characters,
        answer: (tokens) => {
          clearTimeout(timer)
          resolve(tokens)
        },
      })
      worker.postMessage({ id, encoding, texts } satisfies CountRequest)
    })
  }

  close(): void {
    void this.#worker?.terminate()
    this.#worker = undefined
    this.#startAgainAtMs = Number.POSITIVE_INFINITY
  }

  #started(): Worker | undefined {
    if (this.#worker !== undefined || performance.now() < this.#startAgainAtMs) return this.#worker
    const worker = new Worker(new URL('./tokenizer-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    })
    worker.unref()
    worker.on('message', (reply: CountReply) => this.#answered(reply))
    worker.on('error', (error) => this.#log.error({ error }, 'the tokenizer failed; prompts are estimated'))
    worker.on('exit', () => this.#gone(worker))
    this.#worker = worker
    return worker
  }

  #answered({ id, tokens }: CountReply): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    this.#characters -= waiting.characters
    waiting.answer(tokens)
  }

  #gone(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#startAgainAtMs = performance.now() + START_AGAIN_MS
    for (const id of [...this.#waiting.keys()]) this.#answered({ id, tokens: undefined })
  }
}
