/**
 * What the bytes of one chunk of a streamed answer say, found without making objects of them: what was generated, what
 * is stated of it, what ends it.
 */
import { DeltaCounter } from '../delta-tokens.ts'
import { JsonCursor } from '../json-cursor.ts'

const key = (name: string): Buffer => Buffer.from(name)
const CANDIDATES = key('candidates')
const USAGE = key('usageMetadata')
const MODEL_VERSION = key('modelVersion')
const RESPONSE_ID = key('responseId')
const ERROR = key('error')
const PROMPT_FEEDBACK = key('promptFeedback')
const BLOCK_REASON = key('blockReason')
const CONTENT = key('content')
const FINISH_REASON = key('finishReason')
const INDEX = key('index')
const GROUNDING = key('groundingMetadata')
const TEXT = key('text')
const FUNCTION_CALL = key('functionCall')
const EXECUTABLE_CODE = key('executableCode')
const DATA = key('data')
const MIME_TYPE = key('mimeType')
const OUTPUT_COUNTS = [key('candidatesTokenCount'), key('responseTokenCount'), key('thoughtsTokenCount')]
const UNSPECIFIED = key('FINISH_REASON_UNSPECIFIED')
const AUDIO = key('audio/')
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
/** {"candidates":[{"content":{"parts":[{"inlineData":{ … : members of a candidate, of a part, of what a part holds. */
const DEPTH = { top: 1, inTop: 2, candidate: 3, part: 6, inPart: 7 }
/** What an image comes to at 1,024 pixels. Source: ai.google.dev/gemini-api/docs/pricing, "Image output". */
export const IMAGE_TOKENS = 1290
/** Speech is 25 tokens a second here and 20 where the counter's measure is from. */
const AUDIO_FACTOR = 25 / 20

/** One for the process: scans are synchronous and keep nothing. */
const cursor = new JsonCursor()
const counter = new DeltaCounter()

export class ChunkScan {
  /** Output tokens of its text, calls and media. */
  tokens = 0
  /** Output tokens that it states, all so far; -1: it states none. */
  stated = -1
  /** Bytes of `usageMetadata`; an end of 0: there is none. */
  usageStart = 0
  usageEnd = 0
  /** Bytes of `modelVersion` and of `responseId`. */
  modelStart = 0
  modelEnd = 0
  idStart = 0
  idEnd = 0
  /** Indexes of the candidates that it speaks of, and of those whose last word it is. */
  readonly candidates: number[] = []
  readonly finished: number[] = []
  /** The prompt was refused: no candidate follows. */
  blocked = false
  failed = false
  grounded = false
  #data: Buffer = Buffer.alloc(0)
  #area: Buffer | undefined
  #inCall = false
  #isAudio = false
  #media = 0
  /** Of the candidate that is being read: which members were seen, its index, whether this is its last word. */
  #seen = 0
  #index = 0
  #finishes = false

  read(data: Buffer): void {
    this.#clear(data)
    cursor.open(data)
    counter.reset()
    while (cursor.next()) {
      const { depth } = cursor
      if (depth === DEPTH.top) this.#top()
      else if (this.#area === CANDIDATES) this.#inCandidates(depth)
      else if (depth === DEPTH.inTop) this.#inTop()
    }
    this.#endCandidate()
    this.tokens = counter.tokens + this.#media
  }

  #clear(data: Buffer): void {
    this.tokens = 0
    this.stated = -1
    this.usageEnd = 0
    this.modelEnd = 0
    this.idEnd = 0
    this.candidates.length = 0
    this.finished.length = 0
    this.blocked = false
    this.failed = false
    this.grounded = false
    this.#data = data
    this.#area = undefined
    this.#media = 0
    this.#seen = 0
  }

  #top(): void {
    this.#area = undefined
    if (cursor.keyIs(CANDIDATES)) this.#area = CANDIDATES
    else if (cursor.keyIs(USAGE) && cursor.firstByte === OPEN_BRACE) {
      this.#area = USAGE
      this.usageStart = cursor.valueStart
      this.usageEnd = objectEnd(this.#data, cursor.valueStart)
    } else if (cursor.keyIs(PROMPT_FEEDBACK)) this.#area = PROMPT_FEEDBACK
    else if (cursor.keyIs(ERROR) && cursor.firstByte === OPEN_BRACE) this.failed = true
    else if (cursor.isString && cursor.keyIs(MODEL_VERSION)) {
      this.modelStart = cursor.valueStart
      this.modelEnd = cursor.valueEnd
    } else if (cursor.isString && cursor.keyIs(RESPONSE_ID)) {
      this.idStart = cursor.valueStart
      this.idEnd = cursor.valueEnd
    }
  }

  #inTop(): void {
    if (this.#area === USAGE && OUTPUT_COUNTS.some((name) => cursor.keyIs(name))) {
      const count = cursor.wholeNumber
      if (count >= 0) this.stated = Math.max(0, this.stated) + count
    } else if (this.#area === PROMPT_FEEDBACK && cursor.keyIs(BLOCK_REASON)) this.blocked = true
  }

  #inCandidates(depth: number): void {
    if (depth === DEPTH.candidate) this.#candidate()
    else if (depth === DEPTH.part) this.#part()
    else if (depth >= DEPTH.inPart) this.#inPart(depth)
  }

  /** Where one candidate ends and the next begins shows in a member that comes again. */
  #candidate(): void {
    if (cursor.keyIs(CONTENT)) this.#see(1)
    else if (cursor.keyIs(INDEX)) {
      this.#see(2)
      this.#index = Math.max(0, cursor.wholeNumber)
    } else if (cursor.keyIs(FINISH_REASON)) {
      this.#see(4)
      this.#finishes = cursor.isString ? !cursor.stringBytes.equals(UNSPECIFIED) : cursor.wholeNumber > 0
    } else if (cursor.keyIs(GROUNDING) && cursor.firstByte === OPEN_BRACE) this.grounded = true
  }

  #see(member: number): void {
    if ((this.#seen & member) !== 0) this.#endCandidate()
    this.#seen |= member
  }

  /** An index of 0 is left out. */
  #endCandidate(): void {
    if (this.#seen === 0) return
    this.candidates.push(this.#index)
    if (this.#finishes) this.finished.push(this.#index)
    this.#seen = 0
    this.#index = 0
    this.#finishes = false
  }

  #part(): void {
    this.#inCall = cursor.keyIs(FUNCTION_CALL) || cursor.keyIs(EXECUTABLE_CODE)
    this.#isAudio = false
    if (cursor.isString && cursor.keyIs(TEXT)) counter.addText(this.#data, cursor.valueStart, cursor.valueEnd)
  }

  /** A call's arguments are generated, names and all; pictures and sound come in base64. */
  #inPart(depth: number): void {
    if (this.#inCall) {
      counter.addText(this.#data, cursor.keyStart, cursor.keyEnd)
      if (cursor.isString) counter.addText(this.#data, cursor.valueStart, cursor.valueEnd)
    } else if (depth === DEPTH.inPart && cursor.isString) {
      if (cursor.keyIs(MIME_TYPE)) this.#isAudio = cursor.stringBytes.subarray(0, AUDIO.length).equals(AUDIO)
      else if (cursor.keyIs(DATA)) {
        if (this.#isAudio) counter.addAudio((cursor.valueEnd - cursor.valueStart) * AUDIO_FACTOR)
        else this.#media += IMAGE_TOKENS
      }
    }
  }
}

/** Behind the brace that closes the object; strings in it have no braces. The data's end where none does. */
function objectEnd(data: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < data.length; at++) {
    if (data[at] === OPEN_BRACE) depth++
    else if (data[at] === CLOSE_BRACE && --depth === 0) return at + 1
  }
  return data.length
}
