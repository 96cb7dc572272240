/**
 * POST /endpoints/NAME/invocations of a SageMaker endpoint: the body is what its container takes, which for text is either
 * text generation (`inputs`) or OpenAI's chat (`messages`). The endpoint's name is the model's.
 * Source: docs.aws.amazon.com/sagemaker, InvokeEndpoint; JumpStart's model cards.
 */
import type { Metering } from '../provider.ts'
import { chatMetering, readChatCall } from './chat.ts'
import { readOpenAIBody } from './openai-call.ts'
import { rootModel } from './root-model.ts'
import { readTgiCall, tgiMetering } from './tgi.ts'

/** Which of the two a call is, by what was read of it. */
const of = (parsed: unknown): Metering =>
  typeof parsed === 'object' && parsed !== null && 'limits' in parsed ? chatMetering : tgiMetering

export const sagemakerMetering: Metering = {
  readCall: (raw, source) =>
    readOpenAIBody(raw, source.jsonDepth).value['messages'] === undefined
      ? readTgiCall(raw, source)
      : readChatCall(raw, source, rootModel),
  prepare: (raw, call, edits) => of(call.parsed).prepare(raw, call, edits),
  outputLimitName: (call, upstream) => of(call.parsed).outputLimitName(call, upstream),
  createStreamReader: (call, framing, headers) => of(call.parsed).createStreamReader(call, framing, headers),
  jsonMembers: [...chatMetering.jsonMembers, ...tgiMetering.jsonMembers],
  readJson: (members, call, headers) => of(call.parsed).readJson(members, call, headers),
}
