import { failedAnswer } from '../failed-answer.ts'
import type { AnswerFacts } from '../provider.ts'
import { asText } from '../read-fields.ts'
import { readOllamaUsage } from './ollama-usage.ts'

/** Facts of a whole answer, or of a stream's last line. Ollama gives its answers no id. */
export function readAnswer(answer: Readonly<Record<string, unknown>>): AnswerFacts {
  return {
    usage: readOllamaUsage(answer),
    model: asText(answer['model']),
    providerId: undefined,
    serviceTier: undefined,
    storedId: undefined,
    ...failedAnswer(answer['error']),
  }
}
