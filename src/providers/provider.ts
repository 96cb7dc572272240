/**
 * What a provider's folder gives to the rest: its operations, how a call is read and edited, how its answers are
 * metered, and how an error or an ending looks in its own words. No folder of a provider imports another's.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Endpoint, Format, Upstream } from '../config/snapshot.ts'
import type { BatchLine, BatchSummary } from '../core/batch-sum.ts'
import type { ExactTexts } from '../core/encoding.ts'
import type { Script } from '../core/input-ratios.ts'
import type { CountedKind, TokenCounts, TokenKind, UnitCounts, Usage } from '../core/usage.ts'
import type { ErrorFacts } from '../errors.ts'

/** One endpoint of a provider's API. */
export interface Operation {
  readonly format: Format
  readonly endpoint: Endpoint
  /**
   * metered: has a hold and a settle. free: needs a key, no hold, no ledger entry. unmetered: as free, where the config
   * names its path (it costs something that nothing here counts).
   */
  readonly kind: 'metered' | 'free' | 'unmetered'
  /** Of free and unmetered ones. */
  readonly objects?: ObjectRules
  /** Only of metered operations. */
  readonly metering?: Metering
  /** The call is a batch of calls; `metering` reads its answer alone. */
  readonly batch?: BatchReading
}

export interface BatchReading {
  /** Reads the body. Throws InvalidCall. */
  read(body: Buffer, source: CallSource): BatchRequest
}

/** What a batch is made of: files that passed before, or lines in its own body. */
export interface BatchRequest {
  /** Ids of files with lines. */
  readonly files: readonly string[]
  /** Lines of the body; undefined: it has none. */
  readonly lines: BatchSummary | undefined
  /** Ids of objects at the provider that these lines name. */
  readonly objects: readonly string[]
  /** Model of lines that name none. */
  readonly model: string | undefined
  /** Endpoint that every line must be of; undefined: each says its own. */
  readonly endpoint: string | undefined
  /** The model answers in pictures, whatever the lines say. */
  readonly imageOutput?: boolean
  /** A batch that is there already, which these lines come on top of. */
  readonly addsTo?: string
  /** Kept for the answer's reader (CallRequest.parsed). */
  readonly parsed: unknown
}

/** One line of a file as a call, and the objects that it names. */
export interface ReadBatchLine extends BatchLine {
  readonly objects: readonly string[]
}

/** One request of an upload that may take several. */
export interface UploadStep {
  /** Of the upload; undefined: it has none yet, and is whole with this request. */
  readonly id: string | undefined
  /** Bytes of the file that came before. */
  readonly offset: number
  /** The file is whole with it. */
  readonly last: boolean
}

/** A path that was recognised. */
export interface OperationMatch {
  readonly operation: Operation
  /** The object at the provider that the path names (a stored response's id): its owner alone may use it. */
  readonly objectId: string | undefined
  /** Of a free operation: the model that the path names, which decides the upstream. */
  readonly model?: string
  /** Objects inside that one (a vector store's file): whoever owns it may use them, unless another account made them. */
  readonly parts?: readonly string[]
}

/** What a free operation does to objects at the provider. */
export interface ObjectRules {
  /** It answers with objects of whoever made them: only where the upstream's are shared. */
  readonly lists?: true
  /** The path's object is gone after it. */
  readonly deletes?: true
  /** Objects that the answer names for the first time: they belong to the account from then on. */
  readonly makes?: MadeObjects
  /** The body is JSON that may name objects: each must be the account's own. */
  readonly readsBody?: true
  /** Members that make the same path generate at some provider: then it is not free. */
  readonly notFreeWith?: readonly string[]
  /** The body is a file, passed on as it comes. */
  readonly upload?: true
  /** A member of the answer with an address at the provider's host, and what it ends in behind the object's own path. */
  readonly address?: readonly [member: string, ending: string]
  /** Whoever asks for it may know that a call has ended which goes on here: the gateway asks soon. */
  readonly nudges?: true
}

export interface MadeObjects {
  /** Members that are needed of the answer, as Metering.jsonMembers. */
  readonly members: readonly string[]
  read(answer: Readonly<Record<string, unknown>>): readonly string[]
  /** Tokens that a call which names the object will read, where the answer says so. */
  tokens?(answer: Readonly<Record<string, unknown>>): number
}

/** Where a call's body came from: some APIs name the model, the stream or the tier in the path or in a header. */
export interface CallSource {
  /** Without `/u/NAME` and without the query, as it stands on the wire (percent-encoded). */
  readonly path: string
  /** "" or "?…". */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  /** The deepest nesting of JSON that is read. */
  readonly jsonDepth: number
  /** The plan asks for counts by the model's own tokenizer: its texts are kept where there is one. */
  readonly exact?: boolean
  /** The body's parts in their order, where it is multipart/form-data and the operation takes forms. */
  readonly form?: Form
}

export type Form = readonly FormPart[]

/** One field or file of a form. */
export interface FormPart {
  readonly name: string
  readonly filename: string | undefined
  /** A part of the body, not a copy. */
  readonly content: Buffer
}

/** What the gateway must know of a call before it is sent. */
export interface CallRequest {
  /** "" where the call names none. */
  readonly model: string
  /** Models that may answer in its place: the one that does is charged. */
  readonly otherModels?: readonly string[]
  readonly stream: boolean
  readonly input: InputEstimate
  /** False for embeddings: no output is held, no limit written. */
  readonly generates: boolean
  /** The caller's own limit for one answer; undefined: none named. Where two parameters differ: the higher. */
  readonly outputLimit: number | undefined
  /** Output tokens are held times this: n, or prompts × max(n, best_of). >= 1 */
  readonly answers: number
  /** Thinking budget that the caller asked for, in tokens; 0: none stated. */
  readonly thinkingBudget: number
  /** Below it no answer is of use (a picture): no limit is written there. */
  readonly leastOutputTokens?: number
  /** The call asks for reasoning (a budget, an effort other than none): it is held whole, never in slices. */
  readonly reasoning: boolean
  /** A strict JSON schema was asked for. */
  readonly structured: boolean
  readonly tools: boolean
  /** Whether audio output may come (its rate then counts in the ceiling). */
  readonly audioOutput: boolean
  /** The same of images that are billed by the token. */
  readonly imageOutput?: boolean
  /** Counted things that the call can come to at the most (characters, seconds, images, searches): held at their rates. */
  readonly units?: UnitCounts
  /** What of them is billed once the call is sent: things that stand in the call itself, as the characters of a text. */
  readonly certainUnits?: UnitCounts
  /** What another model, run by a tool of the provider's, may use at the most: held at its own price. */
  readonly beside?: { readonly model: string; readonly tokens: TokenCounts }
  /** Counted things that the endpoint may be billed by in place of tokens: a rate for one of them prices the model. */
  readonly billedBy?: readonly CountedKind[]
  /** Service tier that the caller asked for; left out: the provider's default. */
  readonly serviceTier?: string
  /**
   * The call may go on at the provider after its answer (see JobFacts): it is held whole, for 26 hours, and a hold that
   * nobody ends posts all of it.
   */
  readonly goesOn?: boolean
  /** Ids of objects at the provider that the call reads (previous_response_id, conversation). */
  readonly objects: readonly string[]
  /** The call reads input that stands in no body: an object above, a file, a URL. Held at recorded tokens, window or 128,000. */
  readonly unseenInput: boolean
  /** The format's own edits of this call, made by `prepare`. */
  readonly parsed: unknown
}

/** Input in tokens. `high` is never meant to be below what will be billed; `low` is what is certainly billed. */
export interface InputEstimate {
  readonly highTokens: number
  readonly lowTokens: number
  /** Part of highTokens that asks to be cached, held at the cache-write rate. */
  readonly cacheWriteTokens: number
  /** Its rate: the 1h one if any part asks for that. */
  readonly cacheWriteKind: 'cache_write_5m' | 'cache_write_1h'
  /** Part of highTokens that is text, counted by its characters; left out: none of it is. */
  readonly text?: TextShare
  /** Parts of highTokens that are held at the rate of their own kind, where that is the dearer one. */
  readonly parts?: { readonly [kind in TokenKind]?: number }
}

/** Text counted high. What it really comes to is learnt for each model (core/input-ratios.ts), and scales it. */
export interface TextShare {
  /** With what the format puts around the caller's own. */
  readonly tokens: number
  readonly ownTokens: number
  /** Tokens that the caller sent as numbers: in highTokens beside these. What is then left of highTokens is media. */
  readonly exactTokens: number
  readonly script: Script
  /** The texts themselves, for the model's own tokenizer, and what of `tokens` stands in none of them. */
  readonly exact?: ExactTexts & { readonly besidesTokens: number }
}

/** How a stream is cut into events. */
export type Framing = 'sse' | 'ndjson' | 'json_array' | 'aws_eventstream'

/** Headers of the upstream's answer, for the few that carry usage or an id. Names in lower case. */
export interface AnswerHeaders {
  get(name: string): string | undefined
}

/** A body that cannot be admitted: 400 invalid_request. The message names the field, what it is, and the remedy. */
export class InvalidCall extends Error {
  readonly field: string | undefined
  constructor(message: string, field?: string) {
    super(message)
    this.name = 'InvalidCall'
    this.field = field
  }
}

/** Per operation, made once in the process; holds no state of a call. */
export interface Metering {
  /** The body may be multipart/form-data: then it is taken apart before `readCall`. */
  readonly takesForms?: boolean
  /** Reads the body (JSON, or what the endpoint takes). Throws InvalidCall. */
  readCall(body: Buffer, source: CallSource): CallRequest
  /**
   * The body as it goes upstream: `include_usage` added where a stream needs it, the output limit written where
   * `outputLimit` is given. Spliced in: every other byte stays. Returns the same buffer where nothing changes.
   */
  prepare(
    body: Buffer,
    call: CallRequest,
    edits: { readonly outputLimit: number | undefined; readonly upstream: Upstream },
  ): Buffer
  /** Parameter that `prepare` writes a limit as, for `x-tollgate-trimmed`. */
  outputLimitName(call: CallRequest, upstream: Upstream): string
  /** How the operation's streams are framed where the answer's content type does not say; default sse. */
  readonly framing?: Framing
  /** For an answer that is a stream. */
  createStreamReader(call: CallRequest, framing: Framing, headers: AnswerHeaders): StreamReader
  /**
   * For a whole JSON answer: members that are needed of it. A name is one of the top level; `a.b` is a member of a
   * member; `predictions.*.statistics` takes that member of each element of an array, as a list under the path's name
   * (absent where none was found, without those elements that lack it); `*.details` is for an answer that is an array;
   * `data.#` is the number of an array's elements, none of which is kept (absent where there is no array).
   * No path may be the beginning of another.
   */
  readonly jsonMembers: readonly string[]
  /** Their values as parsed JSON (absent ones undefined) → what the answer says. Errors come here too. */
  readJson(members: Readonly<Record<string, unknown>>, call: CallRequest, headers: AnswerHeaders): AnswerFacts
  /** The operation is a WebSocket. */
  readonly socket?: SocketMetering
  /** For a whole answer that is no JSON (audio, text); left out: nothing can be said of it. */
  readOther?(answer: OtherAnswer, call: CallRequest, headers: AnswerHeaders): AnswerFacts
}

/** Of a WebSocket: one hold for the session, and each response is covered before it runs. */
export interface SocketMetering {
  /** The subprotocols that the caller offers: its key among them, and those that the upstream is offered. */
  readProtocols(offered: readonly string[]): {
    readonly key: string | undefined
    readonly forwarded: readonly string[]
  }
  createReader(call: CallRequest, jsonDepth: number): SessionReader
}

/** A frame of the caller's. */
export interface CallerFrame {
  readonly frame: Buffer
  /** Where it names an output limit: byte offsets of the value. */
  readonly limitSpan: { readonly valueStart: number; readonly valueEnd: number } | undefined
  /** It asks for a response, which costs money. */
  readonly starts: boolean
  /** The output limit that it names; undefined: none, or as much as there is. */
  readonly outputLimit: number | undefined
  /** A further model that the session is to use from here on. */
  readonly model: string | undefined
  /** The caller's id of it, for errors. */
  readonly eventId: string | null
}

/** pass: goes on. money: goes on, and what was used or begun has changed. drop: answers something that only we asked for. */
export type UpstreamFrame = 'pass' | 'money' | 'drop'

/** Reads one session's frames, both ways. */
export interface SessionReader {
  /** A frame of the caller's, before it goes on. Throws InvalidCall: it is answered with an error and goes nowhere. */
  readCaller(frame: Buffer): CallerFrame
  /** What `readCaller` said to start a response is sent. */
  asked(): void
  /** Never throws, whatever comes. */
  readUpstream(frame: Buffer): UpstreamFrame
  /** The session has begun: it can be told a limit. */
  readonly ready: boolean
  /** The caller's own output limit for every response. */
  readonly ownLimit: number | undefined
  /** The upstream may start a response that nobody asked for. */
  readonly answersByItself: boolean
  /** Responses asked for or begun that have no end yet. */
  readonly running: number
  /** Something has begun whose usage is not stated yet. */
  readonly unfinished: boolean
  /** What the next response will read, counted high. */
  readonly nextInput: TokenCounts
  /** What was stated so far, by model. */
  readonly usages: ReadonlyMap<string, Usage>
  /** What was counted of responses that run. */
  readonly counted: Usage | undefined
  readonly sessionId: string | undefined
  /** What the ledger keeps of the provider's own words. */
  readonly summary: Readonly<Record<string, unknown>>
  /** An event of ours that sets the output limit of the session; the answer to it is dropped. */
  limitFrame(limit: number): Buffer
  errorFrame(error: ErrorFacts, eventId: string | null): string
}

/** A whole answer that is no JSON. */
export interface OtherAnswer {
  readonly contentType: string
  /** Length of the decoded body. */
  readonly bytes: number
  /** Its beginning, up to 64 KiB, and its end, up to 16 KiB. */
  readonly head: Buffer
  readonly tail: Buffer
}

/** What an answer said of itself. Everything may be missing. */
export interface AnswerFacts {
  readonly usage: Usage | undefined
  /** What was counted of the request or the answer where the provider states no usage: charged as an estimate. */
  readonly counted?: Usage
  /** What the provider says the call cost, in USD: a decimal string. */
  readonly statedCost?: string
  readonly model: string | undefined
  /** The provider's id of the answer: chatcmpl-…, resp_…, msg_…. */
  readonly providerId: string | undefined
  readonly serviceTier: string | undefined
  /** Id under which the provider stored the answer, for `GET /v1/responses/:id` and previous_response_id. */
  readonly storedId: string | undefined
  /** Further objects that the answer made and that later calls may name (its items, a container). */
  readonly objectIds?: readonly string[]
  /** An object that carries the call and its answer from now on (a conversation): a call that reads it reads all that. */
  readonly carrierId?: string
  /** The answer is no end: the call goes on at the provider, and the gateway asks until it has one. */
  readonly job?: JobFacts
  /** An error stands where the answer should: nothing is charged that it does not state as used. */
  readonly failed?: boolean
}

/** A call that goes on after its answer: a background response, a run, a batch. Asked for by `CallRequest.goesOn`. */
export interface JobFacts {
  /** The provider's id. What the job comes to is charged once for it, whoever else asks how it stands. */
  readonly id: string
  /** Name of the JobReader of the same format. */
  readonly reader: string
  /** Path that says how the job stands, from that of the call which began it: without a query; the call's own is sent along. */
  pollPath(callPath: string): string
  /** The object in which it runs, if that is another (a run's thread): who deletes that one deletes it too. */
  readonly within?: string
  /** What the reader must know of the call when it reads, perhaps in another process: plain JSON, small. */
  readonly notes?: JobNotes
}

export type JobNotes = Readonly<Record<string, unknown>>

/** How jobs of one kind are read. Holds no state of a job; must not throw. */
export interface JobReader {
  readonly name: string
  /** Members that are needed of the object at the job's path, as Metering.jsonMembers. */
  readonly members: readonly string[]
  /** How it stands, by those members. */
  read(members: Readonly<Record<string, unknown>>, notes: JobNotes): JobState
  /** Of batches: how their results are read. */
  readonly results?: ResultReader
}

/** Reads the results of a batch one by one, each as its bytes pass. */
export interface ResultReader {
  /**
   * Arrays inside the job's own object whose elements are results (JsonElements' paths). Where there are several, they are
   * the same results: the first that has any counts.
   */
  readonly inline: readonly string[]
  /** Members that are needed of one result. */
  readonly members: readonly string[]
  /** Undefined: it is another call's. Must not throw. */
  read(result: Readonly<Record<string, unknown>>, notes: JobNotes): JobResult | undefined
}

export interface JobResult {
  /** The same result may come twice: it is counted once by this. Undefined: nothing tells it from others. */
  readonly id: string | undefined
  readonly model: string | undefined
  /** undefined: it used nothing (an error). */
  readonly usage: Usage | undefined
  readonly statedCost?: string | undefined
}

/** Where results of a batch stand. */
export interface ResultSource {
  /** With its query. */
  readonly path: string
  /** A result a line, or an element of the array `results`, with the token of the next page beside it. */
  readonly form: 'lines' | 'pages'
}

export type JobState =
  | { readonly status: 'open' }
  | {
      /** It has its end, and the object says all of it. */
      readonly status: 'ended'
      readonly facts: AnswerFacts
      /** It failed or was cancelled: what it states is charged, or what it produced, or nothing. */
      readonly failed: boolean
      /** Output that it shows, counted: for one that states no usage. */
      readonly outputTokens: number
    }
  | {
      /** It has its end, and what it used is the sum of its results: those inside the object, and these. */
      readonly status: 'results'
      readonly sources: (jobPath: string) => readonly ResultSource[]
      /** Fewer results than this: it has no end yet. */
      readonly expects?: number
      /** Objects that it made: they belong to who began it. */
      readonly objectIds: readonly string[]
      /** What the provider says of the whole, for the ledger. */
      readonly raw: unknown
    }

/**
 * pass: goes on as it came. drop: an event that only we asked for; an element of a JSON array passes all the same.
 * terminal: the last event of a complete answer; it is kept back until the settlement is recorded. A JSON array's closing
 * bracket is terminal by itself, unless an element was before.
 */
export type EventVerdict = 'pass' | 'drop' | 'terminal'

/** Reads one stream's events beside their bytes. One instance a call. Never throws, whatever comes. */
export interface StreamReader {
  /**
   * Only events whose bytes say that they can carry usage or an ending are parsed. The event is valid during the call
   * alone: the meter uses the object again.
   */
  onEvent(event: StreamEvent): EventVerdict
  /** Output tokens that this event would add to `outputTokens`, before it is taken by `onEvent`. */
  textTokens(event: StreamEvent): number
  /** An event too large to be kept has passed: its first and last bytes (up to 256 and 16 KiB), to find usage in. */
  onOversized(head: Buffer, tail: Buffer): void
  /** The event of the last `onOversized` ends a complete answer, as the verdict `terminal` would say of a smaller one. */
  readonly oversizedEnd?: boolean
  /** What was learnt so far. */
  readonly facts: AnswerFacts
  /** Output tokens delivered so far, all answers together: counted from the deltas until usage says it. */
  readonly outputTokens: number
  /** A finish reason (or the like) was seen: a properly framed end without a terminal event is then complete. */
  readonly finished: boolean
  /** The dialect has neither finish reason nor terminal event in this endpoint. */
  readonly endsByFraming: boolean
  /** An error event came inside the 200. */
  readonly failed: boolean
  /** An event that may have carried usage or an ending could not be parsed. */
  readonly unreadable: boolean
  /**
   * The format's own ending for "length", to be sent when the money ends: closes whatever is open. Whole events of the
   * stream's framing: with blank lines (sse), with line feeds (ndjson), frames made by event-frame.ts (aws_eventstream),
   * or elements with commas between them and no bracket (json_array: the meter adds what goes around them).
   */
  cutEnding(): Buffer
  /** An error event in the format's words, after which nothing follows; framed like `cutEnding`. */
  errorEvent(error: ErrorFacts): Buffer
}

export interface StreamEvent {
  /**
   * sse: value of the `event:` line. aws_eventstream: `:event-type`, of an exception `exception:` and its
   * `:exception-type`, of an error `error:` and its `:error-code`. "" where there is none.
   */
  readonly name: string
  /** The data lines, joined by \n (sse); the line, the element, the payload. Only of a frame it may be empty. */
  readonly data: Buffer
  readonly raw: Buffer
}

export interface ErrorBody {
  readonly contentType: string
  readonly body: string
  /** Further headers that the API's clients read: [name, value] each. */
  readonly headers?: readonly (readonly [string, string])[]
}

/** Stands for the method of a request that becomes a WebSocket: no request can have it as its own. */
export const SOCKET = 'WEBSOCKET'

/** One API family. */
export interface Provider {
  readonly format: Format
  /**
   * Recognises a path by its last segments, whatever prefix its API uses. `headers` tell APIs apart that have the same
   * path (`/v1/files`); left out: only what is this API's alone. `method`: SOCKET for a WebSocket. The answer may be
   * kept: it follows from method, path and the presence of `tellingHeaders` alone.
   */
  match(method: string, path: string, headers?: IncomingHttpHeaders): OperationMatch | undefined
  /** Headers that `match` looks for; left out: none. */
  readonly tellingHeaders?: readonly string[]
  /** Of the calls that go on after their answer. */
  readonly jobs?: readonly JobReader[]
  /** One line of a file that a batch may be made of. Throws InvalidCall. */
  readBatchLine?(line: Buffer, jsonDepth: number): ReadBatchLine
  /** Undefined: the request is no upload whose body is bytes of a file and nothing else. */
  readUploadStep?(query: string, headers: IncomingHttpHeaders): UploadStep | undefined
  /** Body of one of our refusals, in this API's shape. `target`: path and query of the request, as they came. */
  errorBody(error: ErrorFacts, target?: string): ErrorBody
}
