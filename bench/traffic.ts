/** The bytes that every row of the benchmark carries: one chat completion, as JSON and as a stream. */

export const BENCH_KEY = 'tg-bench-key'
export const BENCH_ACCOUNT = 'bench'

/** Events of a stream that carry text; the usage event and `[DONE]` come after them. */
export const TEXT_EVENTS = 32
/** Between two events of a paced stream. */
export const PACE_MS = 5

/** `paced` is a stream with a pause before each event; `stream` has none. */
export type Traffic = 'json' | 'stream' | 'paced'

const PROMPT = 'Summarise the incident report below for the on-call team, in plain words. '.repeat(12)

function body(traffic: Traffic): string {
  return JSON.stringify({
    model: traffic === 'paced' ? 'gpt-bench-paced' : 'gpt-bench',
    messages: [
      { role: 'system', content: 'You are a careful assistant.' },
      { role: 'user', content: PROMPT },
    ],
    max_completion_tokens: 256,
    // Asked for, so that the bytes of the answer are the same through every row.
    ...(traffic === 'json' ? {} : { stream: true, stream_options: { include_usage: true } }),
  })
}

export interface HttpPost {
  readonly path: string
  /** Without Host and Content-Length. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
}

export function benchPost(path: string, traffic: Traffic): HttpPost {
  return {
    path,
    headers: [
      ['Authorization', `Bearer ${BENCH_KEY}`],
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json'],
      ['User-Agent', 'OpenAI/JS 7.57.0'],
    ],
    body: body(traffic),
  }
}

/** The request as it stands on the wire. */
export function wireRequest(post: HttpPost, port: number): Buffer {
  const headers = post.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const length = Buffer.byteLength(post.body)
  return Buffer.from(
    `POST ${post.path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${headers}Content-Length: ${length}\r\n\r\n${post.body}`,
  )
}

/** Of a chat completion of OpenAI, word for word. */
export const OPENAI_USAGE = {
  prompt_tokens: 192,
  completion_tokens: 160,
  total_tokens: 352,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
}

const ENVELOPE = {
  id: 'chatcmpl-Bench00000000000000000001',
  created: 1_795_000_000,
  model: 'gpt-bench',
  service_tier: 'default',
  system_fingerprint: 'fp_bench',
}

/** About 1.2 KB of JSON, with its head. */
export function jsonAnswer(): Buffer {
  const content = 'The queue filled up because one consumer stopped; it was restarted, and nothing was lost. '.repeat(7)
  const json = JSON.stringify({
    ...ENVELOPE,
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: OPENAI_USAGE,
  })
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\nopenai-processing-ms: 1\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  )
}

export const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_bench\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n',
)

function httpChunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
}

function streamChunk(choices: readonly unknown[], usage: unknown): Buffer {
  return httpChunk(`data: ${JSON.stringify({ ...ENVELOPE, object: 'chat.completion.chunk', choices, usage })}\n\n`)
}

/** An event with text. `stamp` is part of the text: sixteen digits that say when it was sent. */
export function textEvent(stamp: string): Buffer {
  const delta = { content: ` consumer @${stamp}@ restarted` }
  return streamChunk([{ index: 0, delta, logprobs: null, finish_reason: null }], null)
}

/** Everything after the text: finish reason, usage, `[DONE]`, and the end of the body. */
export function streamEnd(): readonly Buffer[] {
  return [
    streamChunk([{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }], null),
    streamChunk([], OPENAI_USAGE),
    Buffer.concat([httpChunk('data: [DONE]\n\n'), Buffer.from('0\r\n\r\n')]),
  ]
}

/** Microseconds of the machine's monotonic clock: the same in every process of the benchmark. */
export function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
