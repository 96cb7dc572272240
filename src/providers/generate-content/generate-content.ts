/**
 * POST …:generateContent and …:streamGenerateContent, of the Gemini API and of Vertex AI. The model, and whether the
 * answer comes in pieces, stand in the path; the pieces are server-sent events with `alt=sse`, else one JSON array.
 * Source: googleapis google/ai/generativelanguage/v1beta/generative_service.proto; google/cloud/aiplatform/v1/prediction_service.proto.
 */
import { readJsonBody } from '../json-body.ts'
import {
  type AnswerFacts,
  type CallRequest,
  type CallSource,
  InvalidCall,
  type Metering,
  type StreamReader,
} from '../provider.ts'
import { asArray, asObject, asText, readWholeNumber } from '../read-fields.ts'
import { refuseOtherAnswers } from './answer-form.ts'
import { fetchesInput, PromptCounter, searchesWeb } from './count-input.ts'
import { GenerateContentStream } from './generate-content-stream.ts'
import { readGenerateUsage, readTier } from './generate-content-usage.ts'
import { bareModel, modelOfPath, readGoogleMethod } from './google-path.ts'
import { countSearches, heldSearches } from './grounding.ts'
import { DecisiveNames, eitherSpelling, type ProtoObject, readNested } from './proto-json.ts'
import { readProtoLimit, writeProtoLimit } from './proto-limit.ts'

type Fields = Readonly<Record<string, unknown>>

const CONFIG = 'generationConfig'
const LIMIT = 'maxOutputTokens'
const BODY_NAMES = new DecisiveNames([
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'cachedContent',
  'serviceTier',
  CONFIG,
])
const CONFIG_NAMES = new DecisiveNames([
  LIMIT,
  'candidateCount',
  'thinkingConfig',
  'responseModalities',
  'responseMimeType',
  'responseSchema',
  'responseJsonSchema',
  'mediaResolution',
  'speechConfig',
  'imageConfig',
])
const THINKING_NAMES = new DecisiveNames(['thinkingBudget', 'thinkingLevel', 'includeThoughts'])
const PICTURE_TOKENS = { usual: 1290, large: 2520 }
const QUERIES = 'candidates.*.groundingMetadata.webSearchQueries'
const IMAGE_QUERIES = 'candidates.*.groundingMetadata.imageSearchQueries'
const CHUNKS = 'candidates.*.groundingMetadata.groundingChunks'
/** How Vertex's priority and flex traffic are asked for. Source: cloud.google.com/vertex-ai/generative-ai/docs/priority-paygo */
const TIER_HEADER = 'x-vertex-ai-llm-shared-request-type'

export const generateContentMetering: Metering = {
  readCall: readGenerateCall,
  prepare: (raw, call, edits) => writeProtoLimit(raw, call, edits.outputLimit),
  outputLimitName: (): string => LIMIT,
  framing: 'json_array',
  createStreamReader: (call, framing): StreamReader => new GenerateContentStream(call, framing),
  jsonMembers: ['usageMetadata', 'modelVersion', 'responseId', 'error', QUERIES, IMAGE_QUERIES, CHUNKS],
  readJson: readGenerateJson,
}

function readGenerateCall(raw: Buffer, source: CallSource): CallRequest {
  refuseOtherAnswers(source, 'usageMetadata')
  const model = modelOfPath(source.path)
  const json = readJsonBody(raw, source.jsonDepth)
  const body = BODY_NAMES.read(json.value, json.members, json.insertAt, '')
  const config = readNested(raw, body, CONFIG, CONFIG_NAMES, source.jsonDepth)
  const thinking = config && readThinking(raw, config, source.jsonDepth)
  const settings = config?.value ?? {}
  refuseOtherModel(body.value['model'], model)
  const counter = new PromptCounter(model, settings['mediaResolution'])
  countPrompt(counter, body.value, settings)
  const parsed = readProtoLimit(body, config, body.members.get(CONFIG), { object: CONFIG, limit: LIMIT })
  const { tools } = body.value
  const cached = asText(body.value['cachedContent'])
  if (cached !== undefined) counter.objects.add(lastSegment(cached))
  const tier = asText(body.value['serviceTier']) ?? asText(source.headers[TIER_HEADER])
  const modalities = asArray(settings['responseModalities']).map((name) => String(name).toUpperCase())
  return {
    model,
    stream: readGoogleMethod(source.path)?.method === 'streamgeneratecontent',
    input: counter.estimate(),
    generates: true,
    outputLimit: parsed.limit,
    answers: config ? (readWholeNumber(config.value, 'candidateCount', 1) ?? 1) : 1,
    thinkingBudget: Math.max(0, thinking?.budget ?? 0),
    reasoning: thinking?.asked ?? false,
    structured: isSchema(settings['responseSchema']) || isSchema(settings['responseJsonSchema']),
    tools: asArray(tools).length > 0,
    audioOutput: modalities.includes('AUDIO'),
    ...(modalities.includes('IMAGE') || model.includes('image') ? pictures(settings['imageConfig']) : {}),
    ...(searchesWeb(tools) ? { units: { web_search: heldSearches(model) } } : {}),
    ...(tier === undefined ? {} : { serviceTier: tier.toLowerCase() }),
    objects: [...counter.objects],
    unseenInput: counter.unseen || cached !== undefined || fetchesInput(tools),
    parsed,
  }
}

/** A picture is whole or none. Source: ai.google.dev/gemini-api/docs/pricing, "Image output" by size. */
function pictures(config: unknown): Pick<CallRequest, 'imageOutput' | 'leastOutputTokens'> {
  const size = asText(eitherSpelling(asObject(config), 'imageSize'))?.toUpperCase()
  return { imageOutput: true, leastOutputTokens: size === '4K' ? PICTURE_TOKENS.large : PICTURE_TOKENS.usual }
}

/** The path decides; a body that names another model would be read two ways. */
export function refuseOtherModel(named: unknown, model: string): void {
  if (named === undefined || named === null || named === '') return
  if (typeof named !== 'string' || (bareModel(named) !== bareModel(model) && named !== model))
    throw new InvalidCall(`"model" names another model than the path ("${model}"); leave it out.`, 'model')
}

function countPrompt(counter: PromptCounter, body: Fields, settings: Fields): void {
  counter.addContents(body['systemInstruction'])
  counter.addContents(body['contents'])
  counter.addTools(body['tools'])
  for (const value of [
    body['toolConfig'],
    settings['responseSchema'],
    settings['responseJsonSchema'],
    settings['speechConfig'],
  ])
    counter.addSchema(value)
}

interface Thinking {
  readonly asked: boolean
  /** Tokens; 0: none stated, or none wanted; -1: as many as the model likes. */
  readonly budget: number
}

function readThinking(raw: Buffer, config: ProtoObject, jsonDepth: number): Thinking | undefined {
  const thinking = readNested(raw, config, 'thinkingConfig', THINKING_NAMES, jsonDepth, `${CONFIG}.`)
  if (!thinking) return undefined
  const budget = readWholeNumber(thinking.value, 'thinkingBudget', -1)
  const level = asText(thinking.value['thinkingLevel'])
  const asked = (budget ?? 0) !== 0 || level !== undefined || thinking.value['includeThoughts'] === true
  return { asked: asked && budget !== 0, budget: budget ?? 0 }
}

function isSchema(value: unknown): boolean {
  return Object.keys(asObject(value) ?? {}).length > 0
}

function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

function readGenerateJson(members: Readonly<Record<string, unknown>>, call: CallRequest): AnswerFacts {
  const usage = readGenerateUsage(members['usageMetadata'])
  const model = asText(members['modelVersion'])
  const searches = countSearches(
    {
      queries: [...asArray(members[QUERIES]).flatMap(asArray), ...asArray(members[IMAGE_QUERIES]).flatMap(asArray)],
      chunks: asArray(members[CHUNKS]).flatMap(asArray),
    },
    model ?? call.model,
  )
  return {
    usage: usage && searches > 0 ? { ...usage, units: { web_search: searches } } : usage,
    model,
    providerId: asText(members['responseId']),
    serviceTier: readTier(members['usageMetadata']),
    storedId: undefined,
    ...(asObject(members['error']) ? { failed: true } : {}),
  }
}
