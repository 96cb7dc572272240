/**
 * POST …/interactions: turns, tools and state kept by Google. Unlike the other methods it names its model (or an agent)
 * in the body, and its stream has events with names.
 * Source: googleapis/js-genai, src/interactions; ai.google.dev/gemini-api/docs/interactions.
 */
import { readJsonBody } from '../json-body.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText, readFlag, readModel } from '../read-fields.ts'
import { refuseOtherAnswers } from './answer-form.ts'
import { PromptCounter } from './count-input.ts'
import { addInteractionInput } from './count-interaction.ts'
import { bareModel } from './google-path.ts'
import { heldSearches } from './grounding.ts'
import { interactionJob } from './interaction-job.ts'
import { InteractionsStream } from './interactions-stream.ts'
import { readInteractionUsage } from './interactions-usage.ts'
import { DecisiveNames, readNested } from './proto-json.ts'
import { type ProtoParsed, readProtoLimit, writeProtoLimit } from './proto-limit.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of this endpoint. */
interface InteractionParsed extends ProtoParsed {
  /** The provider keeps the interaction under its id. */
  readonly stored: boolean
}

const NAMES = { object: 'generation_config', limit: 'max_output_tokens' }
const BODY_NAMES = new DecisiveNames([
  'model',
  'agent',
  'input',
  'systemInstruction',
  'tools',
  'stream',
  'background',
  'store',
  'previousInteractionId',
  'continuationToken',
  'environment',
  'responseFormat',
  'responseModalities',
  'serviceTier',
  'generationConfig',
])
const CONFIG_NAMES = new DecisiveNames(['maxOutputTokens', 'thinkingLevel', 'thinkingSummaries', 'speechConfig'])
/** Tools that the caller runs. */
const CALLER_RUN = new Set(['function', 'computer_use'])
const SEARCHES = new Set(['google_search', 'google_maps'])

export const interactionsMetering: Metering = {
  readCall: readInteractionCall,
  prepare: (raw, call, edits) => writeProtoLimit(raw, call, edits.outputLimit),
  outputLimitName: (): string => NAMES.limit,
  createStreamReader: (call): StreamReader => new InteractionsStream(call, (call.parsed as InteractionParsed).stored),
  jsonMembers: ['id', 'model', 'agent', 'usage', 'service_tier', 'status', 'error'],
  readJson: readInteractionJson,
}

function readInteractionCall(raw: Buffer, source: CallSource): CallRequest {
  refuseOtherAnswers(source, 'usage')
  const json = readJsonBody(raw, source.jsonDepth)
  const body = BODY_NAMES.read(json.value, json.members, json.insertAt, '')
  const fields = body.value
  const config = readNested(raw, body, 'generationConfig', CONFIG_NAMES, source.jsonDepth)
  const agent = asText(fields['agent'])
  const model = bareModel(agent ?? readModel(fields))
  const counter = new PromptCounter(model, undefined)
  addInteractionInput(counter, fields['input'])
  addInteractionInput(counter, fields['systemInstruction'])
  counter.addTools(fields['tools'])
  counter.addSchema(fields['responseFormat'])
  const limit = readProtoLimit(body, config, body.members.get('generationConfig'), NAMES)
  const parsed: InteractionParsed = { ...limit, stored: readFlag(fields, 'store') !== false }
  const tools = asArray(fields['tools']).map((tool) => asText(asObject(tool)?.['type']) ?? '')
  const previous = asText(fields['previousInteractionId'])
  if (previous !== undefined) counter.objects.add(previous)
  const level = asText(config?.value['thinkingLevel'])
  const tier = asText(fields['serviceTier'])
  const modalities = asArray(fields['responseModalities']).map((name) => String(name).toLowerCase())
  const unseen = [fields['continuationToken'], fields['environment'], agent, previous].some(
    (value) => value !== undefined && value !== null,
  )
  return {
    model,
    stream: readFlag(fields, 'stream') === true,
    ...(readFlag(fields, 'background') === true ? { goesOn: true } : {}),
    input: counter.estimate(),
    generates: true,
    outputLimit: parsed.limit,
    answers: 1,
    thinkingBudget: 0,
    reasoning: agent !== undefined || level !== undefined,
    structured: asArray(fields['responseFormat']).concat(fields['responseFormat']).some(isSchema),
    tools: tools.length > 0,
    audioOutput: modalities.includes('audio'),
    ...(modalities.includes('image') || model.includes('image') ? { imageOutput: true } : {}),
    ...(tools.some((type) => SEARCHES.has(type)) ? { units: { web_search: heldSearches(model) } } : {}),
    ...(tier === undefined ? {} : { serviceTier: tier }),
    objects: [...counter.objects],
    unseenInput: unseen || counter.unseen || tools.some((type) => !CALLER_RUN.has(type)),
    parsed,
  }
}

function isSchema(format: unknown): boolean {
  const fields = asObject(format)
  return fields !== undefined && (fields['schema'] !== undefined || fields['properties'] !== undefined)
}

function readInteractionJson(members: Fields, call: CallRequest): AnswerFacts {
  const model = asText(members['model']) ?? asText(members['agent'])
  const providerId = asText(members['id'])
  const job = call.goesOn ? interactionJob(providerId, members['status']) : undefined
  return {
    ...(job ? { job } : {}),
    usage: readInteractionUsage(members['usage'], model ?? call.model),
    model,
    providerId,
    serviceTier: asText(members['service_tier']),
    storedId: (call.parsed as InteractionParsed).stored ? providerId : undefined,
    ...(asObject(members['error']) ? { failed: true } : {}),
  }
}
