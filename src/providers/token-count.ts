/**
 * Counts text in tokens without a tokenizer: high enough that no bill is above it, from the class of each character.
 * A tokenizer joins lower-case letters into words and blanks into the word after them; capitals, digits and signs it
 * joins poorly, and base64 or hex in a prompt costs 0.6 to 0.7 tokens a character.
 */
import type { Script } from '../core/input-ratios.ts'

/** Tokens × 100 of one ASCII character. */
const WEIGHTS = makeWeights()
/** Of one byte of UTF-8 beyond ASCII: the byte-level fall-back of every tokenizer in use is one token a byte. */
const BEYOND_ASCII = 100
/** Hundredths a character above which ASCII is no prose: English has 46 to 52, JSON and code 58 to 75, base64 68. */
const PROSE_WEIGHT_MAX = 56

function makeWeights(): Uint8Array {
  const weights = new Uint8Array(128).fill(100)
  for (let code = 0x61; code <= 0x7a; code++) weights[code] = 50
  for (let code = 0x41; code <= 0x5a; code++) weights[code] = 80
  for (let code = 0x30; code <= 0x39; code++) weights[code] = 80
  weights[0x20] = 25
  return weights
}

/** Tokens × 100 of the texts of one call, by what they are written in. */
export class TextTally {
  /** ASCII: characters, and hundredths. */
  #characters = 0
  #ascii = 0
  #cjk = 0
  #other = 0

  /** Answers the text's own hundredths. */
  add(text: string): number {
    const { length } = text
    let ascii = 0
    let cjk = 0
    let other = 0
    let beyond = 0
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code < 0x80) ascii += WEIGHTS[code] as number
      else {
        beyond++
        if (isCjk(code)) cjk += BEYOND_ASCII * 3
        // A surrogate is half of a character of four bytes.
        else other += BEYOND_ASCII * (code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3)
      }
    }
    this.#characters += length - beyond
    this.#ascii += ascii
    this.#cjk += cjk
    this.#other += other
    return ascii + cjk + other
  }

  /** What most of it is. */
  get script(): Script {
    const total = this.#ascii + this.#cjk + this.#other
    if (this.#cjk > total * 0.4) return 'cjk'
    if (this.#other > total * 0.25) return 'other'
    return this.#ascii > this.#characters * PROSE_WEIGHT_MAX ? 'code' : 'latin'
  }
}

/** Chinese, Japanese and Korean: radicals and signs, kana, ideographs, Hangul, full-width forms. */
function isCjk(code: number): boolean {
  return (
    (code >= 0x2e80 && code < 0xa000) ||
    (code >= 0xac00 && code < 0xd7b0) ||
    (code >= 0xf900 && code < 0xfb00) ||
    code >= 0xff00
  )
}

/** Tokens of a text, × 100, counted high. */
export function textHundredths(text: string): number {
  return new TextTally().add(text)
}
