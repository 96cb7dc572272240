/** POST /v1/rerank, /v2/rerank: billed by the search. */
import { PLAIN_CALL } from '../plain-call.ts'
import type { CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { readRerankInput } from '../rerank-input.ts'
import { SilentStream } from '../silent-stream.ts'
import { META_MEMBERS, readCohereBody, readMetaJson, readOptionalModel } from './cohere-call.ts'
import { cohereErrorBody } from './cohere-error.ts'

export const rerankMetering: Metering = {
  readCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'max_tokens',
  createStreamReader: (): StreamReader => new SilentStream(cohereErrorBody),
  jsonMembers: META_MEMBERS,
  readJson: (members, call) => {
    const facts = readMetaJson(members)
    // A deployment of one's own may state nothing: then at least one search was made, and at most what was held.
    return facts.usage ? facts : { ...facts, counted: { tokens: {}, units: call.units ?? {}, raw: null } }
  },
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const fields = readCohereBody(raw, source).value
  const { input, searches } = readRerankInput(fields)
  return {
    ...PLAIN_CALL,
    model: readOptionalModel(fields),
    input,
    units: { searches },
    billedBy: ['searches'],
    parsed: undefined,
  }
}
