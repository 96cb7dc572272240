import type { Random } from './random.ts'

const WORDS =
  'the a road toll gate wallet token call model stream ledger price credit hold river stone morning light answer question small large quiet quick open closed north south garden window paper letter number count carry bring send keep give take turn watch listen under over near between because when before after still again every other first last green silver warm clear'.split(
    ' ',
  )

/** `count` tokens of English-looking text. Each is one word or one full stop, so that one token is one event of a stream. */
export function textTokens(random: Random, count: number): string[] {
  const tokens: string[] = []
  for (let i = 0; i < count; i++) tokens.push(textToken(random, i))
  return tokens
}

/** The same text without an end. */
export function* endlessTokens(random: Random): Generator<string> {
  for (let i = 0; ; i++) yield textToken(random, i)
}

function textToken(random: Random, position: number): string {
  const inSentence = position % 12
  if (inSentence === 11) return '.'
  const word = WORDS[random.below(WORDS.length)] as string
  if (inSentence > 0) return ` ${word}`
  const capital = (word[0] as string).toUpperCase() + word.slice(1)
  return position === 0 ? capital : ` ${capital}`
}

/** A text in pieces of four characters: the tokens of arguments and of structured answers. */
export function tokensOf(text: string): string[] {
  return text.match(/[\s\S]{1,4}/gu) ?? []
}
