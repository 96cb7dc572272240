/** POST /api/generate. */
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray } from '../read-fields.ts'
import { readAnswer } from './ollama-answer.ts'
import {
  addImages,
  LIMIT_NAME,
  ollamaCounter,
  prepareOllama,
  readGenerating,
  readLimit,
  readOllamaBody,
} from './ollama-call.ts'
import { OllamaStream } from './ollama-stream.ts'
import { USAGE_MEMBERS } from './ollama-usage.ts'

/** Head of a model's own template, with its system prompt where the call has none. */
const HEAD_TOKENS = 112
const FORMAT_TOKENS = 256

export const generateMetering: Metering = {
  readCall,
  prepare: prepareOllama,
  outputLimitName: (): string => LIMIT_NAME,
  framing: 'ndjson',
  createStreamReader: (call): StreamReader => new OllamaStream(call, 'generate'),
  jsonMembers: USAGE_MEMBERS,
  readJson: readAnswer,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOllamaBody(raw, source)
  const fields = body.value
  const counter = ollamaCounter()
  counter.addOverhead(HEAD_TOKENS)
  for (const name of ['prompt', 'suffix', 'system', 'template']) counter.addContent(fields[name])
  addImages(counter, fields['images'])
  // The tokens of the conversation so far, as an earlier answer gave them.
  counter.addExact(asArray(fields['context']).length)
  if (fields['format']) counter.addOverhead(FORMAT_TOKENS)
  counter.addSchema(fields['format'] ?? '')
  return {
    ...PLAIN_CALL,
    ...readGenerating(fields),
    input: counter.estimate(),
    generates: true,
    ...readLimit(raw, body, source.jsonDepth),
  }
}
