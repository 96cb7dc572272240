/**
 * POST …/publishers/anthropic/models/M:rawPredict and …:streamRawPredict: Anthropic's messages, with the model in the path.
 * Source: cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude; @anthropic-ai/vertex-sdk.
 */
import { modelOfPath, readGoogleMethod } from '../generate-content/google-path.ts'
import { messagesMetering, readMessagesCall } from '../messages/messages.ts'
import type { Metering } from '../provider.ts'

export const rawPredictMetering: Metering = {
  ...messagesMetering,
  readCall: (raw, { path, jsonDepth }) =>
    readMessagesCall(raw, jsonDepth, {
      model: modelOfPath(path),
      stream: readGoogleMethod(path)?.method === 'streamrawpredict',
    }),
}
