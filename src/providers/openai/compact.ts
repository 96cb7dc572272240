/**
 * POST …/responses/compact: the model writes what a conversation comes to, encrypted, for later calls to go on from. Its
 * body and its usage are a response's, but it takes no output limit, and never streams.
 * Source: openai-node src/resources/responses/responses.ts, ResponseCompactParams and CompactedResponse.
 */
import type { CallRequest, Metering } from '../provider.ts'
import { responsesMetering } from './responses.ts'

/** Short conversations came to more than they were, long ones to a small part; a model that reasons does so before it. */
const OUTPUT_TOKENS = 16_384

export const compactMetering: Metering = {
  ...responsesMetering,
  readCall: (raw, source) => withoutLimit(responsesMetering.readCall(raw, source)),
  prepare: (raw) => raw,
}

function withoutLimit(call: CallRequest): CallRequest {
  const { input } = call
  return {
    ...call,
    stream: false,
    generates: false,
    outputLimit: undefined,
    input: {
      ...input,
      highTokens: input.highTokens + OUTPUT_TOKENS,
      parts: { ...input.parts, output: OUTPUT_TOKENS },
    },
  }
}
