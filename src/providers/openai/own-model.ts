const OWN = /^(ft:|openai\/)?(gpt-(?!oss)|o\d|chatgpt-|computer-use|text-embedding-|davinci|babbage)/

/** Whether a name is of a model that OpenAI itself runs, whoever serves it; a deployment's own name is not known. */
export function isOpenAIModel(model: string): boolean {
  return OWN.test(model)
}
