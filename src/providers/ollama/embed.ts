/** POST /api/embed, and /api/embeddings before it: input only. The older one states no usage at all. */
import { PLAIN_CALL } from '../plain-call.ts'
import { type CallRequest, type CallSource, InvalidCall, type Metering, type StreamReader } from '../provider.ts'
import { readModel } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { readAnswer } from './ollama-answer.ts'
import { LIMIT_NAME, ollamaCounter, readOllamaBody } from './ollama-call.ts'
import { ollamaErrorBody } from './ollama-error.ts'
import { USAGE_MEMBERS } from './ollama-usage.ts'

/** First and last token of each input, and a prefix that some models put before it. */
const INPUT_TOKENS = 8

export const embedMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => LIMIT_NAME,
  createStreamReader: (): StreamReader => new SilentStream(ollamaErrorBody),
  jsonMembers: USAGE_MEMBERS,
  readJson: readAnswer,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readOllamaBody(raw, source).value
  const input = fields['input'] ?? fields['prompt'] ?? ''
  const inputs = Array.isArray(input) ? input : [input]
  if (inputs.some((text) => typeof text !== 'string'))
    throw new InvalidCall('"input" must be a string or an array of strings.', 'input')
  const counter = ollamaCounter()
  counter.addContent(inputs)
  counter.addOverhead(INPUT_TOKENS * inputs.length)
  return { ...PLAIN_CALL, model: readModel(fields), input: counter.estimate(), parsed: undefined }
}
