/**
 * What the next response of a realtime session will read, counted high: the whole conversation is sent to the model for
 * each. The last response's own usage says what it held; what came since is counted.
 */
import type { TokenCounts, Usage } from '../../core/usage.ts'
import { InputCounter } from '../input-counter.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { openAIImageTokens } from './media-cost.ts'

/** A token for each 100 ms of what a user says, for each 50 ms of what the model does. */
const HEARD_PER_SECOND = 10
const SPOKEN_PER_SECOND = 20
/** Instructions that OpenAI sets where the session has none, and what goes around each item. */
const OVERHEAD_TOKENS = 256
const ITEM_TOKENS = 16
/** 16 bits at 24 kHz; G.711 is 8 bits at 8 kHz. */
const PCM_BYTES_PER_SECOND = 48_000
const G711_BYTES_PER_SECOND = 8_000

interface Counts {
  text: number
  audio: number
  image: number
}

export class RealtimeContext {
  readonly #model: string
  /** Of the conversation as the last response found and left it. */
  #known: Counts = { text: 0, audio: 0, image: 0 }
  /** Of what came since. */
  #since: Counts = { text: 0, audio: 0, image: 0 }
  #instructions = OVERHEAD_TOKENS
  #heardBytesPerSecond = PCM_BYTES_PER_SECOND
  #spokenBytesPerSecond = PCM_BYTES_PER_SECOND

  constructor(model: string) {
    this.#model = model
  }

  get tokens(): TokenCounts {
    return {
      input: this.#known.text + this.#since.text + this.#instructions,
      audio_input: Math.ceil(this.#known.audio + this.#since.audio),
      image_input: this.#known.image + this.#since.image,
    }
  }

  /** A session as a client asks for it or as the server says that it is: both forms of the API. */
  setSession(session: Readonly<Record<string, unknown>>): void {
    const counter = new InputCounter({ image: () => 0 })
    counter.addContent(session['instructions'])
    counter.addSchema(session['tools'])
    counter.addContent(asObject(session['prompt'])?.['variables'])
    const instructions = counter.estimate().highTokens + OVERHEAD_TOKENS
    if (session['instructions'] !== undefined || session['tools'] !== undefined) this.#instructions = instructions
    const audio = asObject(session['audio'])
    this.#heardBytesPerSecond = rateOf(
      asObject(audio?.['input'])?.['format'] ?? session['input_audio_format'],
      this.#heardBytesPerSecond,
    )
    this.#spokenBytesPerSecond = rateOf(
      asObject(audio?.['output'])?.['format'] ?? session['output_audio_format'],
      this.#spokenBytesPerSecond,
    )
  }

  /** Of the user's, in base64. */
  addHeard(base64Characters: number): void {
    this.#since.audio += seconds(base64Characters, this.#heardBytesPerSecond) * HEARD_PER_SECOND
  }

  addItem(item: unknown): void {
    const fields = asObject(item)
    this.#since.text += ITEM_TOKENS
    const counter = new InputCounter({ image: () => 0 })
    for (const part of asArray(fields?.['content'])) this.#addPart(asObject(part), counter)
    for (const name of ['arguments', 'output', 'name']) counter.addContent(fields?.[name])
    this.#since.text += counter.estimate().highTokens
  }

  #addPart(part: Readonly<Record<string, unknown>> | undefined, counter: InputCounter): void {
    const audio = asText(part?.['audio'])
    if (audio) this.addHeard(audio.length)
    else if (part?.['image_url'] !== undefined) this.#since.image += openAIImageTokens(this.#model, part['detail'])
    else counter.addContent(part?.['text'])
    counter.addContent(part?.['transcript'])
  }

  /** A response has ended: all that it read and said is what the next one reads. */
  setUsage({ tokens }: Usage): void {
    this.#since = { text: 0, audio: 0, image: 0 }
    this.#instructions = 0
    this.#known = {
      // What was cached is of any modality: it counts as text, whose part was not said.
      text: (tokens.input ?? 0) + (tokens.cached_input ?? 0) + (tokens.output ?? 0),
      audio: (tokens.audio_input ?? 0) + (tokens.cached_audio_input ?? 0) + (tokens.audio_output ?? 0),
      image: tokens.image_input ?? 0,
    }
  }

  /** Output tokens of spoken base64. */
  spokenTokens(base64Characters: number): number {
    return seconds(base64Characters, this.#spokenBytesPerSecond) * SPOKEN_PER_SECOND
  }

  /** Seconds of the user's base64. */
  heardSeconds(base64Characters: number): number {
    return seconds(base64Characters, this.#heardBytesPerSecond)
  }
}

function seconds(base64Characters: number, bytesPerSecond: number): number {
  return (base64Characters * 3) / 4 / bytesPerSecond
}

/** `pcm16`, `g711_ulaw`, or `{ type: "audio/pcmu" }`. */
function rateOf(format: unknown, before: number): number {
  const name = asText(format) ?? asText(asObject(format)?.['type'])
  if (name === undefined) return before
  return /g711|pcm[ua]$/.test(name) ? G711_BYTES_PER_SECOND : PCM_BYTES_PER_SECOND
}
