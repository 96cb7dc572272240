/** What the head of an upstream's answer says of its body. */
import { isKnownEncoding } from '../meter/decode.ts'
import type { AnswerHeaders, Framing } from '../providers/provider.ts'
import { callerResponseHeaders, rawHeader } from '../proxy/headers.ts'

export interface AnswerHead {
  readonly kind: 'stream' | 'whole' | 'redirect'
  /** Of a stream. */
  readonly framing: Framing
  /** "" where the answer has none. */
  readonly contentType: string
  readonly encoding: string | undefined
  /** Compressed in a way that is not known here: it passes as it is, unread. */
  readonly opaque: boolean
  /** It has a length or chunks: its end is said, and not a connection that closed. */
  readonly framed: boolean
  /** [name, value, …] as the caller gets them, to be added to. */
  readonly headers: string[]
}

/** Content types of streams. Cohere's v1 calls its lines application/stream+json. */
const STREAM_TYPES: readonly (readonly [string, Framing])[] = [
  ['text/event-stream', 'sse'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
  ['application/stream+json', 'ndjson'],
  ['application/vnd.amazon.eventstream', 'aws_eventstream'],
]

/**
 * `asked`: whether the call asked for a stream, which decides where the answer does not say what it is. `usual`: how the
 * operation's streams are framed then.
 */
export function readAnswerHead(status: number, raw: readonly Buffer[], asked: boolean, usual: Framing): AnswerHead {
  const contentType = rawHeader(raw, 'content-type')?.toLowerCase() ?? ''
  const encoding = rawHeader(raw, 'content-encoding')
  const opaque = encoding !== undefined && !/^\s*(identity)?\s*$/i.test(encoding) && !isKnownEncoding(encoding)
  const framing = status < 300 && !opaque ? framingOf(contentType, asked, usual) : undefined
  return {
    kind: status >= 300 && status < 400 ? 'redirect' : framing ? 'stream' : 'whole',
    framing: framing ?? usual,
    contentType,
    encoding,
    opaque,
    framed: rawHeader(raw, 'content-length') !== undefined || rawHeader(raw, 'transfer-encoding') !== undefined,
    headers: callerResponseHeaders(raw, framing !== undefined),
  }
}

/** The few headers that readers look at, found when they are asked for. */
export class RawAnswerHeaders implements AnswerHeaders {
  readonly #raw: readonly Buffer[]

  constructor(raw: readonly Buffer[]) {
    this.#raw = raw
  }

  get(name: string): string | undefined {
    return rawHeader(this.#raw, name)
  }
}

function framingOf(contentType: string, asked: boolean, usual: Framing): Framing | undefined {
  for (const [type, framing] of STREAM_TYPES) if (contentType.includes(type)) return framing
  if (!asked) return undefined
  // Gemini without alt=sse answers one array in pieces; Ollama's older lines and others call theirs plain JSON.
  const says = contentType === '' || (usual !== 'sse' && contentType.includes('json'))
  return says ? usual : undefined
}
