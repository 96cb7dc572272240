/** POST /v1/generate: Cohere's older completions. */
import { InputCounter } from '../input-counter.ts'
import { highestLimit, readLimits } from '../output-limit.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asText, readFlag, readWholeNumber } from '../read-fields.ts'
import {
  COHERE_MEDIA,
  type CohereParsed,
  META_MEMBERS,
  prepareCohere,
  readCohereBody,
  readMetaJson,
  readOptionalModel,
} from './cohere-call.ts'
import { V1Stream } from './v1-stream.ts'

/** Raised above what the oldest models were billed for a preamble. */
const HEAD_TOKENS = 64

export const generateMetering: Metering = {
  readCall,
  prepare: prepareCohere,
  outputLimitName: (): string => 'max_tokens',
  framing: 'ndjson',
  createStreamReader: (call, framing): StreamReader => new V1Stream(call, framing, 'generate'),
  jsonMembers: META_MEMBERS,
  readJson: readMetaJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const body = readCohereBody(raw, source)
  const fields = body.value
  const limits = readLimits(body, ['max_tokens'], 0)
  const counter = new InputCounter(COHERE_MEDIA)
  counter.addOverhead(HEAD_TOKENS)
  counter.addContent(fields['prompt'])
  const parsed: CohereParsed = { insertAt: body.insertAt, limits }
  return {
    ...PLAIN_CALL,
    model: readOptionalModel(fields),
    stream: readFlag(fields, 'stream') === true,
    input: counter.estimate(),
    generates: true,
    outputLimit: highestLimit(limits),
    answers: readWholeNumber(fields, 'num_generations', 1) ?? 1,
    // A preset of the playground has a prompt of its own.
    unseenInput: asText(fields['preset']) !== undefined,
    parsed,
  }
}
