/**
 * Reads the events of watsonx.ai's text generation: each has the text and a running count of the tokens generated; the
 * prompt's count comes in one of the first and is 0 in the others. The last says why it stopped; no `[DONE]`.
 * Source: cloud.ibm.com/apidocs/watsonx-ai, "Infer text event stream"; recorded traffic.
 */
import type { ErrorFacts } from '../../errors.ts'
import { tollgateMember } from '../../errors.ts'
import { readCount } from '../counts.ts'
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { namedEvent } from '../sse-event.ts'
import { type Fields, TextStream } from './text-stream.ts'

const GENERATED_TEXT = Buffer.from('generated_text')
const INPUT_TOKENS = Buffer.from('input_token_count')
const STOP_REASON = Buffer.from('stop_reason')
const ERRORS = Buffer.from('errors')
const NOT_FINISHED = 'not_finished'

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class WatsonxStream extends TextStream {
  #input = 0

  protected override scan(data: Buffer): number {
    cursor.open(data)
    counter.reset()
    this.mustParse = this.model === undefined
    while (cursor.next()) {
      if (cursor.isString && cursor.keyIs(GENERATED_TEXT)) counter.addText(data, cursor.valueStart, cursor.valueEnd)
      else if (cursor.keyIs(INPUT_TOKENS)) this.mustParse ||= cursor.wholeNumber > 0
      else if (cursor.isString && cursor.keyIs(STOP_REASON))
        this.mustParse ||= cursor.stringBytes.toString() !== NOT_FINISHED
      else if (cursor.depth === 1 && cursor.keyIs(ERRORS)) this.mustParse = true
    }
    return counter.tokens
  }

  protected override read(event: Fields): void {
    this.model ??= asText(event['model_id'])
    if (event['errors'] !== undefined) this.failed = true
    for (const item of asArray(event['results'])) {
      const result = asObject(item)
      this.#input = Math.max(this.#input, readCount(result, 'input_token_count') ?? 0)
      const reason = asText(result?.['stop_reason'])
      const output = readCount(result, 'generated_token_count')
      if (reason === undefined || reason === NOT_FINISHED) continue
      this.finished = true
      if (output === undefined) continue
      const raw = { input_token_count: this.#input, generated_token_count: output }
      this.usage = { tokens: { input: this.#input, output }, raw }
    }
  }

  override cutEnding(): Buffer {
    const results = [
      {
        generated_text: '',
        generated_token_count: this.outputTokens,
        input_token_count: 0,
        stop_reason: 'max_tokens',
      },
    ]
    return event('message', { model_id: this.model ?? this.call.model, results })
  }

  override errorEvent(error: ErrorFacts): Buffer {
    const errors = [{ code: error.code, message: error.message }]
    return event('error', { errors, trace: error.requestId, tollgate: tollgateMember(error) })
  }
}

function event(name: string, value: Fields): Buffer {
  return Buffer.from(namedEvent(name, value))
}
