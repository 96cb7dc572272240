/**
 * What a request asks the simulator to do beyond answering. Three places are read, later ones winning:
 *
 *   model suffix    gpt-5-mini+output:500+fault:reset_mid
 *   last user text  … [simulate: output=500, fault=reset_mid] …
 *   header          x-simulate: output=500,fault=reset_mid
 *
 * A fault may stand without its key (`x-simulate: no_usage`), and several may be given.
 */
export interface Controls {
  /** Tokens of a text answer, where the call's limit allows; undefined: 16 to 63, fixed by the seed and the prompt. */
  output: number | undefined
  /** Input tokens reported; undefined: counted from the prompt. */
  input: number | undefined
  /** Of the input: read from cache, written for 5 minutes, written for an hour. */
  cached: number
  cacheWrite: number
  cacheWriteHour: number
  /** Reasoning tokens, inside the output; undefined: 16 where the call asks for reasoning, else none. */
  reasoning: number | undefined
  /** Tool calls made; undefined: 1 where tools are offered and the last word is the user's. */
  tools: number | undefined
  /** Queries of a web search, where one is offered; undefined: 1. */
  searches: number | undefined
  /** Bytes of each image or piece of audio that is made; undefined: some thousands. */
  bytes: number | undefined
  /** Milliseconds before the first byte. */
  latencyMs: number
  /** 0: as fast as the socket takes them. */
  tokensPerSecond: number
  /** Where a fault in the middle strikes, in tokens; undefined: after half of them. */
  at: number | undefined
  /** Of `error_before`. */
  status: number
  /** Sent as retry-after with `error_before`, in seconds. */
  retryAfter: number | undefined
  encoding: Encoding | undefined
  /** Of what goes on after its answer (background responses, batches): how many looks at it still find it under way. */
  looks: number
  /** And for how many milliseconds it is under way in any case. */
  jobMs: number
  /** How it ends, in the API's own word (failed, cancelled, expired, …); undefined: well. */
  outcome: string | undefined
  readonly faults: Set<Fault>
}

const ENCODINGS = ['gzip', 'br', 'zstd'] as const
export type Encoding = (typeof ENCODINGS)[number]

const FAULTS = {
  error_before: 'an error of the provider instead of an answer (status=…)',
  error_mid: 'the format’s error event after some tokens; a JSON call gets an error body with status 200',
  failed_mid: 'responses: a response.failed with the usage so far; other formats as error_mid',
  reset_before: 'the connection is reset before any byte',
  reset_mid: 'the connection is reset after some tokens',
  truncate: 'the body ends after some tokens, properly framed, without finish reason or terminal event',
  no_terminal: 'everything but the terminal event ([DONE], message_stop, response.completed)',
  close_delimited: 'the body has neither length nor chunks: it ends with the connection',
  hang_before: 'no byte ever',
  hang_mid: 'nothing more after some tokens, the connection stays open',
  no_usage: 'the answer says nothing of usage',
  ignore_max_tokens: 'output=N is produced whatever the limit',
  endless: 'never stops, whatever the limit',
  error_bare: 'as error_mid, but JSON without the framing of an event (Vertex AI)',
  blocked: 'Google: the prompt is refused, no candidate comes',
  usage_shrinks: 'Google: usage in all chunks but the last says too much',
  usage_late: 'Google: only the last chunk counts the output',
  input_count_absent: 'Google, Ollama: usage without a count of the prompt',
  usage_beside: 'chat: usage stands beside the last choices, asked for or not',
  usage_each: 'chat: usage in each chunk, growing',
  usage_groq: 'chat: usage under x_groq alone',
  usage_total: 'rerank: tokens in all, as Voyage and Jina state them, instead of searches',
  strict: 'chat, completions: stream_options is refused with 422',
  crlf: 'lines of a stream end in CR and LF',
  comments: 'a comment before each event of a stream',
  bom: 'a stream begins with a byte order mark',
  tight: 'no blank behind data: in a stream',
  output_count_absent: 'Google: usage without a count of the answer',
  total_off: 'Google: the total is one short',
  usage_in_headers: 'Bedrock invoke: the body counts nothing, headers and metrics alone do',
  metrics_differ: 'Bedrock invoke: the metrics of a stream count fewer output tokens than the message',
  duplicate_results: 'batches: each result twice',
  partial_failures: 'batches: every second line is an error',
  malformed: 'JSON that cannot be parsed: the body, or one event after some tokens',
} as const
export type Fault = keyof typeof FAULTS

/** A control that does not exist or has a value that makes no sense. */
export class UnknownControl extends Error {}

export function defaultControls(): Controls {
  return {
    output: undefined,
    input: undefined,
    cached: 0,
    cacheWrite: 0,
    cacheWriteHour: 0,
    reasoning: undefined,
    tools: undefined,
    searches: undefined,
    bytes: undefined,
    latencyMs: 0,
    tokensPerSecond: 0,
    at: undefined,
    status: 500,
    retryAfter: undefined,
    encoding: undefined,
    looks: 0,
    jobMs: 0,
    outcome: undefined,
    faults: new Set(),
  }
}

const NUMBERS: Readonly<Record<string, (controls: Controls, value: number) => void>> = {
  output: (controls, value) => {
    controls.output = value
  },
  input: (controls, value) => {
    controls.input = value
  },
  cached: (controls, value) => {
    controls.cached = value
  },
  cache_write: (controls, value) => {
    controls.cacheWrite = value
  },
  cache_write_1h: (controls, value) => {
    controls.cacheWriteHour = value
  },
  reasoning: (controls, value) => {
    controls.reasoning = value
  },
  tools: (controls, value) => {
    controls.tools = value
  },
  searches: (controls, value) => {
    controls.searches = value
  },
  bytes: (controls, value) => {
    controls.bytes = value
  },
  latency: (controls, value) => {
    controls.latencyMs = value
  },
  tps: (controls, value) => {
    controls.tokensPerSecond = value
  },
  at: (controls, value) => {
    controls.at = value
  },
  status: (controls, value) => {
    controls.status = value
    controls.faults.add('error_before')
  },
  retry_after: (controls, value) => {
    controls.retryAfter = value
  },
  looks: (controls, value) => {
    controls.looks = value
  },
  job_ms: (controls, value) => {
    controls.jobMs = value
  },
}

/** Reads `key=value,key=value` into the controls. Throws UnknownControl. */
export function applyControls(controls: Controls, text: string): void {
  for (const part of text.split(',')) if (part.trim() !== '') applyOne(controls, part.trim())
}

function applyOne(controls: Controls, part: string): void {
  const [key = '', value = ''] = part.split('=', 2).map((side) => side.trim())
  const setNumber = NUMBERS[key]
  if (setNumber !== undefined) setNumber(controls, wholeNumber(key, value))
  else if (key === 'encoding') controls.encoding = encodingNamed(value)
  else if (key === 'outcome') controls.outcome = value
  else controls.faults.add(faultNamed(key === 'fault' ? value : key))
}

function wholeNumber(key: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new UnknownControl(`simulate: ${key} takes a whole number, not "${value}"`)
  return Number(value)
}

function encodingNamed(value: string): Encoding {
  const found = ENCODINGS.find((name) => name === value)
  if (found === undefined) throw new UnknownControl(`simulate: encoding is one of ${ENCODINGS.join(', ')}`)
  return found
}

function faultNamed(name: string): Fault {
  if (!Object.hasOwn(FAULTS, name)) throw new UnknownControl(`simulate: no control or fault "${name}"`)
  return name as Fault
}

/** The model without its controls, which are applied. */
export function takeFromModel(controls: Controls, model: string): string {
  const plus = model.indexOf('+')
  if (plus < 0) return model
  applyControls(
    controls,
    model
      .slice(plus + 1)
      .replaceAll('+', ',')
      .replaceAll(':', '='),
  )
  return model.slice(0, plus)
}

/** Applies a directive in the last user text, if there is one. */
export function takeFromText(controls: Controls, text: string): void {
  const start = text.lastIndexOf('[simulate:')
  if (start < 0) return
  const end = text.indexOf(']', start)
  if (end > 0) applyControls(controls, text.slice(start + '[simulate:'.length, end))
}
