/** POST /v1/classify: billed by the classification, which counts as a request. */
import { InputCounter } from '../input-counter.ts'
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { COHERE_MEDIA, META_MEMBERS, readCohereBody, readMetaJson, readOptionalModel } from './cohere-call.ts'
import { cohereErrorBody } from './cohere-error.ts'

export const classifyMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(cohereErrorBody),
  jsonMembers: META_MEMBERS,
  readJson: readMetaJson,
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readCohereBody(raw, source).value
  const counter = new InputCounter(COHERE_MEDIA)
  counter.addContent(fields['inputs'])
  counter.addSchema(fields['examples'])
  return {
    ...PLAIN_CALL,
    model: readOptionalModel(fields),
    input: counter.estimate(),
    units: { requests: Math.max(1, asArray(fields['inputs']).length) },
    billedBy: ['requests'],
    parsed: undefined,
  }
}
