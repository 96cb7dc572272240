import { asObject, asText } from './read-fields.ts'

/** For `AnswerFacts`: whether an `error` stands where the answer should. Many servers have the member and leave it empty. */
export function failedAnswer(error: unknown): { readonly failed?: true } {
  return asObject(error) !== undefined || asText(error) !== undefined ? { failed: true } : {}
}
