import type { ExactTexts } from '../../core/encoding.ts'

const OWN = /^(ft:|openai\/)?(gpt-(?!oss)|o\d|chatgpt-|computer-use|text-embedding-|davinci|babbage)/

/** Before gpt-4o: gpt-4 and its turbo, gpt-3.5, the embeddings, and what was left of GPT-3. */
const CL100K = /^(ft:|openai\/)?(gpt-4($|-(?!o))|gpt-3|text-embedding-|davinci|babbage)/

/** Where the texts of a call go that is to be counted exactly; undefined: its tokenizer is not known. */
export function exactTexts(model: string, source: { readonly exact?: boolean }): ExactTexts | undefined {
  if (source.exact !== true || !isOpenAIModel(model)) return undefined
  return { encoding: CL100K.test(model) ? 'cl100k_base' : 'o200k_base', texts: [] }
}

/** Whether a name is of a model that OpenAI itself runs, whoever serves it; a deployment's own name is not known. */
export function isOpenAIModel(model: string): boolean {
  return OWN.test(model)
}
