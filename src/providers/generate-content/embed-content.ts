/**
 * POST …:embedContent and …:batchEmbedContents: input only. Models from gemini-embedding-2 on state their usage; of
 * earlier ones it is estimated.
 * Source: googleapis google/ai/generativelanguage/v1beta/generative_service.proto, EmbedContentRequest.
 */
import { readJsonBody } from '../json-body.ts'
import { type AnswerFacts, type CallRequest, type CallSource, InvalidCall, type Metering } from '../provider.ts'
import { asArray, asObject } from '../read-fields.ts'
import { SilentStream } from '../silent-stream.ts'
import { refuseOtherAnswers } from './answer-form.ts'
import { PromptCounter } from './count-input.ts'
import { refuseOtherModel } from './generate-content.ts'
import { readGenerateUsage, readTier } from './generate-content-usage.ts'
import { googleErrorBody } from './google-error.ts'
import { modelOfPath } from './google-path.ts'
import { inputOnly } from './input-only.ts'
import { DecisiveNames } from './proto-json.ts'

const NAMES = new DecisiveNames(['model', 'content', 'requests'])
const REQUESTS_MAX = 10_000

export const embedContentMetering: Metering = {
  readCall: readEmbedCall,
  prepare: (raw) => raw,
  outputLimitName: (): string => 'maxOutputTokens',
  createStreamReader: () => new SilentStream(googleErrorBody),
  jsonMembers: ['usageMetadata', 'error'],
  readJson: readEmbedJson,
}

function readEmbedCall(raw: Buffer, source: CallSource): CallRequest {
  refuseOtherAnswers(source, 'usageMetadata')
  const model = modelOfPath(source.path)
  const json = readJsonBody(raw, source.jsonDepth)
  const { value } = NAMES.read(json.value, json.members, json.insertAt, '')
  const counter = new PromptCounter(model, undefined)
  refuseOtherModel(value['model'], model)
  counter.addContents(value['content'])
  const requests = asArray(value['requests'])
  if (requests.length > REQUESTS_MAX)
    throw new InvalidCall(`"requests" has more than ${REQUESTS_MAX} items; split them.`, 'requests')
  for (const item of requests) {
    const request = asObject(item) ?? {}
    refuseOtherModel(request['model'], model)
    counter.addContents(request['content'])
  }
  return inputOnly(model, counter)
}

function readEmbedJson(members: Readonly<Record<string, unknown>>): AnswerFacts {
  return {
    usage: readGenerateUsage(members['usageMetadata']),
    model: undefined,
    providerId: undefined,
    serviceTier: readTier(members['usageMetadata']),
    storedId: undefined,
    ...(asObject(members['error']) ? { failed: true } : {}),
  }
}
