/**
 * Adds up what a request body puts into the prompt: text counted high, media at the most they can cost, and a note of
 * what stands in no body. It walks decoded values, so that base64 is never taken for text.
 */
import type { InputEstimate } from './provider.ts'
import { asObject, asText } from './read-fields.ts'
import { TextTally } from './token-count.ts'

/** What media cost at most, by the provider's own documents. */
export interface MediaCosts {
  /** Tokens of one image; `detail` as the caller stated it. */
  image(detail: unknown): number
}

type Fields = Readonly<Record<string, unknown>>

/** Names of members whose own name stands in no prompt. */
const SILENT_NAMES = new Set([
  'role',
  'type',
  'content',
  'text',
  'source',
  'function',
  'id',
  'call_id',
  'tool_call_id',
  'tool_use_id',
  'cache_control',
  'status',
  'annotations',
  'logprobs',
])
/** Names of members whose value is an id or a tag: a few tokens at most. */
const TAGS = new Set(['type', 'role', 'id', 'call_id', 'tool_call_id', 'tool_use_id', 'status', 'media_type', 'format'])
/** Opaque blobs that stand for reasoning or pages: base64 of more bytes than the text had. */
const OPAQUE = new Set(['encrypted_content', 'signature', 'thought_signature', 'encrypted_index'])
/** Earlier reasoning that comes back: most providers drop it from the prompt. */
const MAYBE_DROPPED = new Set(['reasoning', 'reasoning_content', 'reasoning_details', 'thinking'])
const TAG_HUNDREDTHS = 300
const STRUCTURE_HUNDREDTHS = 100
/** 10 tokens a second (OpenAI's audio guide) at the lowest usual rates: 8 kbit/s compressed, 16 kB/s as wav. */
const AUDIO_BYTES_PER_TOKEN = { compressed: 100, wav: 1600 }
/** Voxtral counts at least 30 s for any audio: 375 tokens. */
const AUDIO_TOKENS_LEAST = 400
/** English text counts twice its tokens here, CJK up to four times: a fifth is certain. */
const CERTAIN_SHARE = 5

export class InputCounter {
  unseen = false
  cached = false
  cachedForAnHour = false
  readonly #tally = new TextTally()
  #hundredths = 0
  #certainHundredths = 0
  #overheadTokens = 0
  #mediaTokens = 0
  #exactTokens = 0
  readonly #media: MediaCosts

  constructor(media: MediaCosts) {
    this.#media = media
  }

  /** What the format adds around the text: templates, roles, the tool-use system prompt. */
  addOverhead(tokens: number): void {
    this.#overheadTokens += tokens
  }

  /** Tokens that the caller sent as numbers. */
  addExact(tokens: number): void {
    this.#exactTokens += tokens
  }

  addText(text: string): void {
    const hundredths = this.#tally.add(text)
    this.#hundredths += hundredths
    this.#certainHundredths += hundredths
  }

  /** A value of the prompt: text, or content parts, or messages. */
  addContent(value: unknown): void {
    if (typeof value === 'string') this.#addString(value)
    else if (Array.isArray(value)) for (const part of value) this.addContent(part)
    else if (typeof value === 'object' && value !== null) this.#addPart(value as Fields)
    else if (value !== undefined && value !== null) this.#hundredths += TAG_HUNDREDTHS
  }

  /** A schema or a tool: written into the prompt with its names and signs. */
  addSchema(value: unknown): void {
    if (typeof value === 'string') this.#hundredths += this.#tally.add(value)
    else if (Array.isArray(value)) {
      this.#hundredths += STRUCTURE_HUNDREDTHS
      for (const item of value) this.addSchema(item)
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        if (name === 'cache_control') this.#addCacheControl(member)
        else {
          this.#hundredths += this.#tally.add(name) + STRUCTURE_HUNDREDTHS
          this.addSchema(member)
        }
      }
    } else this.#hundredths += TAG_HUNDREDTHS
  }

  /** `reads`: how many times the provider reads the whole input (a compaction pass reads it once more). */
  estimate(reads = 1): InputEstimate {
    const ownTokens = reads * Math.ceil(this.#hundredths / 100)
    const textTokens = ownTokens + reads * this.#overheadTokens
    const exactTokens = reads * this.#exactTokens
    const highTokens = textTokens + exactTokens + reads * this.#mediaTokens
    const certain = Math.floor(this.#certainHundredths / 100 / CERTAIN_SHARE) + this.#exactTokens
    return {
      highTokens,
      lowTokens: Math.max(1, certain),
      text: { tokens: textTokens, ownTokens, exactTokens, script: this.#tally.script },
      // What stands before a breakpoint is written; the simplest bound is all of it.
      cacheWriteTokens: this.cached ? highTokens : 0,
      cacheWriteKind: this.cachedForAnHour ? 'cache_write_1h' : 'cache_write_5m',
    }
  }

  #addString(text: string): void {
    if (text.startsWith('data:') && text.includes(';base64,')) this.#mediaTokens += this.#media.image(undefined)
    else this.addText(text)
  }

  #addPart(part: Fields): void {
    switch (part['type']) {
      case 'image':
      case 'image_url':
      case 'input_image':
      case 'image_file':
        this.#addCacheControl(part['cache_control'])
        this.#mediaTokens += this.#media.image(asObject(part['image_url'])?.['detail'] ?? part['detail'])
        return
      case 'input_audio':
      case 'audio':
      case 'audio_url':
        this.#addAudio(part)
        return
      case 'file':
      case 'input_file':
      case 'document':
      case 'document_url':
      case 'file_url':
        this.#addDocument(part)
        return
      case 'video':
      case 'video_url':
      case 'input_video':
      case 'item_reference':
      case 'container_upload':
        this.unseen = true
        return
      default:
        this.#addMembers(part)
    }
  }

  #addMembers(part: Fields): void {
    for (const name in part) {
      const value = part[name]
      if (name === 'cache_control') this.#addCacheControl(value)
      else if (OPAQUE.has(name) && typeof value === 'string') this.#hundredths += value.length * 25
      else if (TAGS.has(name) && typeof value === 'string') this.#hundredths += TAG_HUNDREDTHS
      else if (MAYBE_DROPPED.has(name)) this.addSchema(value)
      else {
        if (!SILENT_NAMES.has(name)) this.#hundredths += this.#tally.add(name) + STRUCTURE_HUNDREDTHS
        this.addContent(value)
      }
    }
  }

  #addCacheControl(value: unknown): void {
    const control = asObject(value)
    if (!control) return
    this.cached = true
    if (control['ttl'] === '1h') this.cachedForAnHour = true
  }

  #addAudio(part: Fields): void {
    const audio = asObject(part['input_audio']) ?? part
    const data = asText(audio['data'])
    if (!data) {
      this.unseen = true
      return
    }
    const perToken = audio['format'] === 'wav' ? AUDIO_BYTES_PER_TOKEN.wav : AUDIO_BYTES_PER_TOKEN.compressed
    this.#mediaTokens += AUDIO_TOKENS_LEAST + Math.ceil((data.length * 3) / 4 / perToken)
  }

  /** Text in a document can be counted; pages of a PDF, an id or an address cannot. */
  #addDocument(part: Fields): void {
    this.#addCacheControl(part['cache_control'])
    const source = asObject(part['source'])
    this.addContent(part['title'])
    this.addContent(part['context'])
    if (source?.['type'] === 'text') this.addContent(source['data'])
    else if (source?.['type'] === 'content') this.addContent(source['content'])
    else this.unseen = true
  }
}
