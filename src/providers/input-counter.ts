/**
 * Adds up what a request body puts into the prompt: text counted high, media at the most they can cost, and a note of
 * what stands in no body. It walks decoded values, so that base64 is never taken for text.
 */
import type { ExactTexts } from '../core/encoding.ts'
import { audioLength } from './audio/audio-length.ts'
import { type ImageSize, imageSize } from './media/image-size.ts'
import { pdfPages } from './media/pdf-pages.ts'
import type { InputEstimate } from './provider.ts'
import { asObject, asText } from './read-fields.ts'
import { TextTally } from './token-count.ts'

/** What media cost at most, by the provider's own documents. */
export interface MediaCosts {
  /** Tokens of one image; `detail` as the caller stated it; `size` where the body has the image itself. */
  image(detail: unknown, size?: ImageSize): number
  /** Tokens of so much audio; left out: Voxtral's, which takes the most of those that are known. */
  audio?(seconds: number): number
  /** Tokens of one page of a PDF; left out: how they are counted is not known. */
  page?(): number
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
/** Voxtral: 375 tokens for each 30 seconds begun. Source: recorded traffic of 384 for two seconds. */
const VOXTRAL = { seconds: 30, tokens: 400 }
/** A longer file is not decoded to be looked at: its length is guessed from its bytes at 16 kbit/s. */
const AUDIO_BASE64_MAX = 4 * 1024 * 1024
const AUDIO_BYTES_PER_SECOND_LEAST = 2_000
const DATA_URL = /^data:([^,;]*)[^,]*;base64,/
const DATA_URL_HEAD = 256
/** A file of text in base64: a token a byte is the most that it can come to. */
const TEXT_TYPE = /^(text\/|application\/(json|xml|x-yaml|yaml|javascript|x-ndjson|csv))/
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
  #imageTokens = 0
  #audioTokens = 0
  /** Of documents. */
  #documentTokens = 0
  #exactTokens = 0
  readonly #media: MediaCosts
  readonly #exact: ExactTexts | undefined
  /** Of what stands in `#exact`, as counted high. */
  #exactHundredths = 0

  /** `exact`: where texts are put too, for the model's own tokenizer. */
  constructor(media: MediaCosts, exact?: ExactTexts) {
    this.#media = media
    this.#exact = exact
  }

  /** What the format adds around the text: templates, roles, the tool-use system prompt. */
  addOverhead(tokens: number): void {
    this.#overheadTokens += tokens
  }

  /** Tokens that the caller sent as numbers. */
  addExact(tokens: number): void {
    this.#exactTokens += tokens
  }

  /** One image; `text`: base64, a data URL, or where it stands. Its tokens are no text, and no learnt ratio scales them. */
  addImage(text: string, detail?: unknown): void {
    this.#imageTokens += this.#media.image(detail, imageSize(dataOf(text)?.base64 ?? text))
  }

  addText(text: string): void {
    const hundredths = this.#tally.add(text)
    this.#hundredths += hundredths
    this.#certainHundredths += hundredths
    if (this.#exact === undefined) return
    this.#exact.texts.push(text)
    this.#exactHundredths += hundredths
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
    const before = this.#hundredths
    this.#addSchema(value)
    if (this.#exact === undefined || value === undefined) return
    this.#exact.texts.push(JSON.stringify(value))
    this.#exactHundredths += this.#hundredths - before
  }

  #addSchema(value: unknown): void {
    if (typeof value === 'string') this.#hundredths += this.#tally.add(value)
    else if (Array.isArray(value)) {
      this.#hundredths += STRUCTURE_HUNDREDTHS
      for (const item of value) this.#addSchema(item)
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) {
        if (name === 'cache_control') this.#addCacheControl(member)
        else {
          this.#hundredths += this.#tally.add(name) + STRUCTURE_HUNDREDTHS
          this.#addSchema(member)
        }
      }
    } else this.#hundredths += TAG_HUNDREDTHS
  }

  /** `reads`: how many times the provider reads the whole input (a compaction pass reads it once more). */
  estimate(reads = 1): InputEstimate {
    const ownTokens = reads * Math.ceil(this.#hundredths / 100)
    const textTokens = ownTokens + reads * this.#overheadTokens
    const exactTokens = reads * this.#exactTokens
    const image = reads * this.#imageTokens
    const audio = reads * this.#audioTokens
    const highTokens = textTokens + exactTokens + image + audio + reads * this.#documentTokens
    const certain = Math.floor(this.#certainHundredths / 100 / CERTAIN_SHARE) + this.#exactTokens
    return {
      highTokens,
      lowTokens: Math.max(1, certain),
      text: {
        tokens: textTokens,
        ownTokens,
        exactTokens,
        script: this.#tally.script,
        ...(this.#exact && { exact: { ...this.#exact, besidesTokens: this.#besidesTokens(reads) } }),
      },
      // What stands before a breakpoint is written; the simplest bound is all of it.
      cacheWriteTokens: this.cached ? highTokens : 0,
      cacheWriteKind: this.cachedForAnHour ? 'cache_write_1h' : 'cache_write_5m',
      ...(image + audio > 0 ? { parts: mediaParts(image, audio) } : {}),
    }
  }

  #besidesTokens(reads: number): number {
    return reads * (this.#overheadTokens + Math.ceil((this.#hundredths - this.#exactHundredths) / 100))
  }

  #addString(text: string): void {
    if (dataOf(text) === undefined) this.addText(text)
    else this.addImage(text)
  }

  #addPart(part: Fields): void {
    switch (part['type']) {
      case 'image':
      case 'image_url':
      case 'input_image':
      case 'image_file':
        this.#addCacheControl(part['cache_control'])
        this.#addImagePart(part)
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

  #addImagePart(part: Fields): void {
    const named = asObject(part['image_url'])
    const text = asText(named?.['url']) ?? asText(part['image_url']) ?? asText(asObject(part['source'])?.['data']) ?? ''
    this.addImage(text, named?.['detail'] ?? part['detail'])
  }

  #addAudio(part: Fields): void {
    const audio = asObject(part['input_audio']) ?? part
    const text = asText(audio['data']) ?? asText(asObject(part['audio_url'])?.['url']) ?? asText(part['input_audio'])
    const base64 = dataOf(text ?? '')?.base64 ?? asText(audio['data'])
    if (base64 === undefined) this.unseen = true
    else this.#audioTokens += (this.#media.audio ?? voxtralTokens)(audioSeconds(base64))
  }

  /** Text in a document can be counted; pages of a PDF, an id or an address cannot. */
  #addDocument(part: Fields): void {
    this.#addCacheControl(part['cache_control'])
    const source = asObject(part['source'])
    this.addContent(part['title'])
    this.addContent(part['context'])
    if (source?.['type'] === 'text') this.addContent(source['data'])
    else if (source?.['type'] === 'content') this.addContent(source['content'])
    else this.#addFile(part, source)
  }

  #addFile(part: Fields, source: Fields | undefined): void {
    const text = asText(part['file_data']) ?? asText(asObject(part['file'])?.['file_data']) ?? asText(source?.['data'])
    const data = dataOf(text ?? '')
    const type = data?.type ?? asText(source?.['media_type']) ?? ''
    const tokens = text === undefined ? undefined : this.#fileTokens(type, data?.base64 ?? text)
    if (tokens === undefined) this.unseen = true
    else this.#documentTokens += tokens
  }

  /** undefined: what it comes to cannot be told. */
  #fileTokens(type: string, base64: string): number | undefined {
    if (TEXT_TYPE.test(type)) return Math.ceil((base64.length * 3) / 4)
    const pages = this.#media.page && pdfPages(base64)
    return pages && pages * (this.#media.page?.() ?? 0)
  }
}

function mediaParts(image: number, audio: number): NonNullable<InputEstimate['parts']> {
  return { ...(image > 0 ? { image_input: image } : {}), ...(audio > 0 ? { audio_input: audio } : {}) }
}

/** What a data URL has in it; undefined where the text is none. */
function dataOf(text: string): { readonly type: string; readonly base64: string } | undefined {
  if (!text.startsWith('data:')) return undefined
  const head = DATA_URL.exec(text.slice(0, DATA_URL_HEAD))
  return head === null ? undefined : { type: head[1] ?? '', base64: text.slice(head[0].length) }
}

function voxtralTokens(seconds: number): number {
  return Math.ceil(seconds / VOXTRAL.seconds) * VOXTRAL.tokens
}

/** Counted high. */
function audioSeconds(base64: string): number {
  if (base64.length <= AUDIO_BASE64_MAX) return audioLength(Buffer.from(base64, 'base64')).highSeconds
  return (base64.length * 3) / 4 / AUDIO_BYTES_PER_SECOND_LEAST
}
