/** POST /api/chat. */
import type { InputCounter } from '../input-counter.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject } from '../read-fields.ts'
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

/** Templates of open models: a head with rules and the date, and a few tokens a message. */
const HEAD_TOKENS = 112
const MESSAGE_TOKENS = 8
const TOOLS_TOKENS = 320
/** How the schema is explained to the model. */
const FORMAT_TOKENS = 256

export const chatMetering: Metering = {
  readCall,
  prepare: prepareOllama,
  outputLimitName: (): string => LIMIT_NAME,
  framing: 'ndjson',
  createStreamReader: (call): StreamReader => new OllamaStream(call, 'chat'),
  jsonMembers: USAGE_MEMBERS,
  readJson: readAnswer,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readOllamaBody(raw, source)
  const fields = body.value
  const tools = asArray(fields['tools'])
  const counter = ollamaCounter()
  addMessages(counter, asArray(fields['messages']))
  counter.addSchema(tools)
  if (tools.length > 0) counter.addOverhead(TOOLS_TOKENS)
  if (fields['format']) counter.addOverhead(FORMAT_TOKENS)
  counter.addSchema(fields['format'] ?? '')
  return {
    ...PLAIN_CALL,
    ...readGenerating(fields),
    input: counter.estimate(),
    generates: true,
    ...readLimit(raw, body, source.jsonDepth),
    tools: tools.length > 0,
  }
}

function addMessages(counter: InputCounter, messages: readonly unknown[]): void {
  counter.addOverhead(HEAD_TOKENS + MESSAGE_TOKENS * messages.length)
  for (const message of messages) {
    const { images, ...rest } = asObject(message) ?? {}
    addImages(counter, images)
    counter.addContent(rest)
  }
}
