import { type Call, type JsonReply, jsonReply } from './call.ts'
import { readPrompts } from './openai-completions.ts'
import { idTail } from './random.ts'

const CATEGORIES = ['harassment', 'hate', 'illicit', 'self-harm', 'sexual', 'violence']

/** `POST …/moderations`: nothing is ever flagged; free, so no usage. */
export function moderations(call: Call): JsonReply {
  const model = typeof call.body['model'] === 'string' ? call.body['model'] : 'omni-moderation-latest'
  const categories = Object.fromEntries(CATEGORIES.map((name) => [name, false]))
  const scores = Object.fromEntries(CATEGORIES.map((name) => [name, 0.0001]))
  const results = readPrompts(call.body['input']).map(() => ({ flagged: false, categories, category_scores: scores }))
  return jsonReply({ id: `modr-${idTail(call.idSeed, 24)}`, model, results })
}
