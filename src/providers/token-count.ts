/**
 * Counts text in tokens without a tokenizer: high enough that no bill is above it, from the class of each character.
 * A tokenizer joins lower-case letters into words and blanks into the word after them; capitals, digits and signs it
 * joins poorly, and base64 or hex in a prompt costs 0.6 to 0.7 tokens a character.
 */

/** Tokens × 100 of one ASCII character. */
const WEIGHTS = makeWeights()
/** Of one byte of UTF-8 beyond ASCII: the byte-level fall-back of every tokenizer in use is one token a byte. */
const BEYOND_ASCII = 100

function makeWeights(): Uint8Array {
  const weights = new Uint8Array(128).fill(100)
  for (let code = 0x61; code <= 0x7a; code++) weights[code] = 50
  for (let code = 0x41; code <= 0x5a; code++) weights[code] = 80
  for (let code = 0x30; code <= 0x39; code++) weights[code] = 80
  weights[0x20] = 25
  return weights
}

/** Tokens of a text, × 100, counted high. */
export function textHundredths(text: string): number {
  let hundredths = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) hundredths += WEIGHTS[code] as number
    // A surrogate is half of a character of four bytes.
    else hundredths += BEYOND_ASCII * (code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 2 : 3)
  }
  return hundredths
}
