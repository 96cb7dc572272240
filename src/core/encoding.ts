/** Tokenizers of OpenAI's models. */
export type Encoding = 'o200k_base' | 'cl100k_base'

/** Texts of a prompt, for a count by the model's own tokenizer. */
export interface ExactTexts {
  readonly encoding: Encoding
  readonly texts: string[]
}
