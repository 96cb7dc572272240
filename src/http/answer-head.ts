/** What the head of an upstream's answer says of its body. */
import { isKnownEncoding } from '../meter/decode.ts'
import { callerResponseHeaders, rawHeader } from '../proxy/headers.ts'

export interface AnswerHead {
  readonly kind: 'stream' | 'json' | 'redirect'
  readonly encoding: string | undefined
  /** It has a length or chunks: its end is said, and not a connection that closed. */
  readonly framed: boolean
  /** [name, value, …] as the caller gets them, to be added to. */
  readonly headers: string[]
}

/** `asked`: whether the call asked for a stream, which decides where the answer does not say what it is. */
export function readAnswerHead(status: number, raw: readonly Buffer[], asked: boolean): AnswerHead {
  const type = rawHeader(raw, 'content-type')?.toLowerCase() ?? ''
  const encoding = rawHeader(raw, 'content-encoding')
  const isStream = status < 300 && (type.includes('text/event-stream') || (type === '' && asked))
  return {
    kind: status >= 300 && status < 400 ? 'redirect' : isStream ? 'stream' : 'json',
    encoding,
    framed: rawHeader(raw, 'content-length') !== undefined || rawHeader(raw, 'transfer-encoding') !== undefined,
    // What cannot be decoded is handed on as it is, and estimated.
    headers: callerResponseHeaders(raw, isStream && (encoding === undefined || isKnownEncoding(encoding))),
  }
}
