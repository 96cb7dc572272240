/** A tokenizer's work grows with the square of a word's length: 34,000 letters without a sign took it 13 seconds. */
const PIECE_MAX = 256

/**
 * The text in pieces short enough for a tokenizer, cut before a blank where there is one (a token begins with it). The
 * pieces come to the tokens of the whole, and at most one more for each cut.
 */
export function* splitText(text: string): Generator<string> {
  let from = 0
  while (text.length - from > PIECE_MAX) {
    const to = cutBefore(text, from, from + PIECE_MAX)
    yield text.slice(from, to)
    from = to
  }
  yield text.slice(from)
}

/** In the second half of the piece, so that pieces stay long; else at its end, but for the middle of a character. */
function cutBefore(text: string, from: number, end: number): number {
  for (let at = end; at > from + PIECE_MAX / 2; at--) {
    const code = text.charCodeAt(at)
    if ((code === 0x20 || code === 0x0a) && text.charCodeAt(at - 1) > 0x20) return at
  }
  const last = text.charCodeAt(end - 1)
  return last >= 0xd800 && last < 0xdc00 ? end - 1 : end
}
