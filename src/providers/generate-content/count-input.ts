/** Counts what a request in the generateContent format puts into the prompt: text high and low, media by Google's rules. */
import { googleFileId } from '../google-file-id.ts'
import { idsInBody } from '../ids-in-body.ts'
import { InputCounter } from '../input-counter.ts'
import type { InputEstimate } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { imageTokens, type MediaKind, mediaKind, mediaTokens } from './media-tokens.ts'
import { eitherSpelling } from './proto-json.ts'

type Fields = Readonly<Record<string, unknown>>

/** Roles and turns, and what stands around the prompt. */
const CONTENT_TOKENS = 8
const HEAD_TOKENS = 16
/** A signature is reasoning in base64: of more bytes than its text had. */
const SIGNATURE_CHARACTERS_PER_TOKEN = 4
const KINDS = { image: 'image_input', audio: 'audio_input', video: 'video_input' } as const

export class PromptCounter {
  /** Something stands in no body: a file, a URL, media whose length cannot be told. */
  unseen = false
  /** Ids of what is kept at the provider and read into the prompt: files, caches, stores. */
  readonly objects = new Set<string>()
  readonly #text = new InputCounter({ image: () => 0 })
  readonly #media: { [kind in MediaKind]: number } = { image: 0, audio: 0, video: 0, document: 0, text: 0 }
  readonly #model: string
  /** Asked for by the whole call. */
  readonly #resolution: string

  constructor(model: string, resolution: unknown) {
    this.#model = model
    this.#resolution = asText(resolution) ?? ''
    this.#text.addOverhead(HEAD_TOKENS)
  }

  /** `contents`, `systemInstruction`: a content, a list of them, or (some clients) a text. */
  addContents(value: unknown): void {
    if (typeof value === 'string') this.#text.addText(value)
    else if (Array.isArray(value)) for (const content of value) this.addContents(content)
    else {
      const content = asObject(value)
      if (!content) return
      this.addTurn()
      if (content['parts'] === undefined) this.addPart(content)
      else for (const part of partsOf(content['parts'])) this.addPart(part)
    }
  }

  /** Tools: what they read of stores at the provider belongs to who made those. */
  addTools(tools: unknown): void {
    this.addSchema(tools)
    for (const id of idsInBody(tools)) this.objects.add(id)
  }

  /** Tools, schemas and what else is written into the prompt with its names and signs. */
  addSchema(value: unknown): void {
    if (value !== undefined && value !== null) this.#text.addSchema(value)
  }

  addPart(part: Fields): void {
    const resolution = asText(eitherSpelling(asObject(eitherSpelling(part, 'mediaResolution')), 'level'))
    for (const name in part) {
      const value = part[name]
      switch (name) {
        case 'text':
          if (typeof value === 'string') this.#text.addText(value)
          break
        case 'inlineData':
        case 'inline_data':
          this.#addBlob(asObject(value), resolution ?? this.#resolution, framesPerSecond(part))
          break
        case 'fileData':
        case 'file_data':
          this.addFile(eitherSpelling(asObject(value), 'fileUri'))
          break
        case 'functionResponse':
        case 'function_response':
          this.#addFunctionResponse(asObject(value))
          break
        case 'thoughtSignature':
        case 'thought_signature':
          if (typeof value === 'string') this.addSignature(value)
          break
        case 'role':
        case 'thought':
        case 'videoMetadata':
        case 'video_metadata':
        case 'mediaResolution':
        case 'media_resolution':
          break
        default:
          this.addSchema(value)
      }
    }
  }

  addText(text: string): void {
    this.#text.addText(text)
  }

  /** What stands around a turn. */
  addTurn(): void {
    this.#text.addOverhead(CONTENT_TOKENS)
  }

  addSignature(signature: string): void {
    this.#text.addOverhead(Math.ceil(signature.length / SIGNATURE_CHARACTERS_PER_TOKEN))
  }

  /** A file of the Files API has an owner; any other address is only not seen. Throws InvalidCall. */
  addFile(uri: unknown): void {
    this.unseen = true
    const id = googleFileId(asText(uri) ?? '')
    if (id !== undefined) this.objects.add(id)
  }

  addMedia(mimeType: string, data: string, resolution: string, framesPerSecond = 1): void {
    const kind = mediaKind(mimeType)
    if (kind === 'text') {
      this.#text.addText(Buffer.from(data, 'base64').toString())
      return
    }
    const tokens = mediaTokens({ mimeType, data, resolution, framesPerSecond }, this.#model)
    if (tokens === undefined) this.unseen = true
    else this.#media[kind] += tokens
  }

  /** An image that stands elsewhere: at its most. */
  addImage(resolution: string): void {
    this.#media.image += imageTokens(resolution, this.#model)
  }

  estimate(): InputEstimate {
    const media = this.#media.image + this.#media.audio + this.#media.video + this.#media.document
    const text = this.#text.estimate()
    const parts: { [kind in (typeof KINDS)[keyof typeof KINDS]]?: number } = {}
    for (const kind of ['image', 'audio', 'video'] as const)
      if (this.#media[kind] > 0) parts[KINDS[kind]] = this.#media[kind]
    return { ...text, highTokens: text.highTokens + media, ...(Object.keys(parts).length > 0 ? { parts } : {}) }
  }

  #addBlob(blob: Fields | undefined, resolution: string, frames: number): void {
    const data = asText(blob?.['data'])
    const mimeType = asText(eitherSpelling(blob, 'mimeType'))?.toLowerCase() ?? ''
    if (data !== undefined) this.addMedia(mimeType, data, resolution, frames)
  }

  /** Its result is JSON; media that a function gave back stand beside it as parts. */
  #addFunctionResponse(response: Fields | undefined): void {
    if (!response) return
    for (const name in response) {
      if (name === 'parts') for (const part of partsOf(response[name])) this.addPart(part)
      else this.addSchema(response[name])
    }
  }
}

function partsOf(value: unknown): readonly Fields[] {
  const list = Array.isArray(value) ? value : [value]
  const parts: Fields[] = []
  for (const item of list) {
    const part = typeof item === 'string' ? { text: item } : asObject(item)
    if (part) parts.push(part)
  }
  return parts
}

function framesPerSecond(part: Fields): number {
  const frames = asObject(eitherSpelling(part, 'videoMetadata'))?.['fps']
  return typeof frames === 'number' && Number.isFinite(frames) && frames > 0 ? frames : 1
}

/** Whether a tool of the list makes Google fetch input that stands in no body: all but functions and a computer's use. */
export function fetchesInput(tools: unknown): boolean {
  return asArray(tools).some((tool) =>
    Object.keys(asObject(tool) ?? {}).some((name) => !CALLER_RUN.has(name) && !isNothing(asObject(tool)?.[name])),
  )
}

/** Tools that the caller runs. */
const CALLER_RUN = new Set(['functionDeclarations', 'function_declarations', 'computerUse', 'computer_use'])

/** Whether the list has a tool that searches the web, in either spelling. */
export function searchesWeb(tools: unknown): boolean {
  return asArray(tools).some((tool) => Object.keys(asObject(tool) ?? {}).some((name) => SEARCH_TOOLS.has(name)))
}

const SEARCH_TOOLS = new Set([
  'googleSearch',
  'google_search',
  'googleSearchRetrieval',
  'google_search_retrieval',
  'enterpriseWebSearch',
  'enterprise_web_search',
  'googleMaps',
  'google_maps',
])

function isNothing(value: unknown): boolean {
  return value === undefined || value === null
}
