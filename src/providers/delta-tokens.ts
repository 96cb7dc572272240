/**
 * Output tokens of the text in one event, from its bytes. It stops a stream when a slice of money is used up; where the
 * provider states usage, that counts instead. One token of text (all there is in most events) must count exactly 1.
 */

/** Up to this many ASCII bytes are taken for one token: few tokens are longer. */
const ONE_TOKEN_BYTES = 12
/** pcm16 at 24 kHz is 64,000 base64 characters a second and 20 tokens (OpenAI's audio guide: one for each 50 ms). */
const AUDIO_CHARACTERS_PER_TOKEN = 3200

export class DeltaCounter {
  #ascii = 0
  #beyond = 0
  #audio = 0

  reset(): void {
    this.#ascii = 0
    this.#beyond = 0
    this.#audio = 0
  }

  /** Bytes `start` to `end` of a JSON string, escapes as they stand. */
  addText(data: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at++) {
      const byte = data[at] as number
      if (byte >= 0x80) this.#beyond++
      else if (byte === 0x5c && data[at + 1] === 0x75) {
        this.#beyond += 3
        at += 5
      } else {
        this.#ascii++
        if (byte === 0x5c) at++
      }
    }
  }

  addAudio(base64Characters: number): void {
    this.#audio += base64Characters
  }

  /** 0 where no text was added. */
  get tokens(): number {
    const audio = Math.ceil(this.#audio / AUDIO_CHARACTERS_PER_TOKEN)
    if (this.#ascii === 0 && this.#beyond === 0) return audio
    const words = this.#ascii > ONE_TOKEN_BYTES ? this.#ascii / 4 : 0
    return audio + Math.max(1, Math.ceil(this.#beyond / 3 + words))
  }
}
