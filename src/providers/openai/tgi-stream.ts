/**
 * Reads the events of text generation as Hugging Face's servers send them: one for each token, the last one with the
 * whole text and, if asked for, `details`. No `[DONE]`.
 * Source: huggingface.co/docs/text-generation-inference, API reference, StreamResponse; recorded traffic.
 */
import type { ErrorFacts } from '../../errors.ts'
import { tollgateMember } from '../../errors.ts'
import { readCount } from '../counts.ts'
import { JsonCursor } from '../json-cursor.ts'
import { readJsonText } from '../json-text.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { dataEvent } from '../sse-event.ts'
import { type Fields, TextStream } from './text-stream.ts'

export type { Fields }

const TOKEN = Buffer.from('token')
const TEXT = Buffer.from('text')
const GENERATED_TEXT = Buffer.from('generated_text')
const ERROR = Buffer.from('error')
const OPEN_BRACE = 0x7b
/** Of the text that the ending repeats; beyond it the ending has none. */
const KEPT_BYTES_MAX = 128 * 1024

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()

export class TgiStream extends TextStream {
  #tokens = 0
  /** Escaped, while it is kept. */
  #text: string | undefined = ''

  protected override scan(data: Buffer): number {
    cursor.open(data)
    this.mustParse = false
    let tokens = 0
    while (cursor.next()) {
      if (cursor.depth !== 1) continue
      if (cursor.keyIs(TOKEN)) tokens = cursor.firstByte === OPEN_BRACE ? 1 : 0
      else if (cursor.isString && cursor.keyIs(GENERATED_TEXT)) this.mustParse = true
      else if (cursor.isString && cursor.keyIs(ERROR)) this.mustParse = true
    }
    return tokens
  }

  override onEvent(event: Parameters<TextStream['onEvent']>[0]): ReturnType<TextStream['onEvent']> {
    this.#keepText(event.data)
    return super.onEvent(event)
  }

  protected override read(event: Fields): void {
    if (asText(event['error'])) this.failed = true
    if (typeof event['generated_text'] !== 'string') return
    this.finished = true
    const details = asObject(event['details'])
    const output = readCount(details, 'generated_tokens')
    const prefill = asArray(details?.['prefill']).length
    const input = readCount(details, 'input_length') ?? (prefill > 0 ? prefill : undefined)
    if (input !== undefined && output !== undefined) this.usage = { tokens: { input, output }, raw: { input, output } }
  }

  #keepText(data: Buffer): void {
    cursor.open(data)
    let token = false
    while (cursor.next()) {
      if (cursor.depth === 1) token = cursor.keyIs(TOKEN)
      else if (token && cursor.depth === 2 && cursor.isString && cursor.keyIs(TEXT)) {
        this.#tokens++
        if (this.#text === undefined) return
        this.#text += cursor.stringBytes.toString()
        if (this.#text.length > KEPT_BYTES_MAX) this.#text = undefined
      }
    }
  }

  override cutEnding(): Buffer {
    return Buffer.from(
      dataEvent({
        index: this.#tokens + 1,
        token: { id: 0, text: '', logprob: 0, special: true },
        generated_text: readJsonText(this.#text ?? ''),
        details: { finish_reason: 'length', generated_tokens: this.#tokens, seed: null },
      }),
    )
  }

  override errorEvent(error: ErrorFacts): Buffer {
    return Buffer.from(dataEvent({ error: error.message, error_type: error.code, tollgate: tollgateMember(error) }))
  }
}
