/**
 * POST …/NAME/invocations: a SageMaker endpoint (/endpoints/…) or one of Databricks' (/serving-endpoints/…). The body is
 * what the container or model behind it takes: OpenAI's chat (`messages`), completions (`prompt`) or embeddings (`input`),
 * else text generation (`inputs`). The endpoint's name is the model's.
 * Sources: docs.aws.amazon.com/sagemaker, InvokeEndpoint; docs.databricks.com, "Foundation model REST API reference".
 */
import type { CallRequest, CallSource, Metering } from '../provider.ts'
import { chatMetering } from './chat.ts'
import { completionsMetering } from './completions.ts'
import { embeddingsMetering } from './embeddings.ts'
import { hostedModel } from './hosted-model.ts'
import { readOpenAIBody } from './openai-call.ts'
import { tgiMetering } from './tgi.ts'

const BY_MEMBER: readonly (readonly [string, Metering])[] = [
  ['messages', chatMetering],
  ['prompt', completionsMetering],
  ['input', embeddingsMetering],
]
/** What was read of a call, and by which of them. */
interface InvocationParsed {
  readonly metering: Metering
  readonly parsed: unknown
}

const meteringOf = (call: CallRequest): Metering => (call.parsed as InvocationParsed).metering
const inner = (call: CallRequest): CallRequest => ({ ...call, parsed: (call.parsed as InvocationParsed).parsed })

export const invocationsMetering: Metering = {
  readCall,
  prepare: (raw, call, edits) => meteringOf(call).prepare(raw, inner(call), edits),
  outputLimitName: (call, upstream) => meteringOf(call).outputLimitName(inner(call), upstream),
  createStreamReader: (call, framing, headers) => meteringOf(call).createStreamReader(inner(call), framing, headers),
  jsonMembers: [...new Set([...chatMetering.jsonMembers, ...tgiMetering.jsonMembers])],
  readJson: (members, call, headers) => meteringOf(call).readJson(members, inner(call), headers),
}

function readCall(raw: Buffer, source: CallSource): CallRequest {
  const { value } = readOpenAIBody(raw, source.jsonDepth)
  const metering = BY_MEMBER.find(([member]) => value[member] !== undefined)?.[1] ?? tgiMetering
  const name = encodeURIComponent(hostedModel(value, source.path))
  // Its readers take a model from the path of a deployment.
  const call = metering.readCall(raw, metering === tgiMetering ? source : { ...source, path: `/deployments/${name}/` })
  const parsed: InvocationParsed = { metering, parsed: call.parsed }
  return { ...call, parsed }
}
