/** POST …/model/MODEL/converse and …/converse-stream: one form for every model. */
import { InputCounter } from '../input-counter.ts'
import { type JsonBody, readJsonBody } from '../json-body.ts'
import type { CallRequest, Metering, StreamReader } from '../provider.ts'
import { asArray, asObject, asText, readWholeNumber } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { optimized } from './answer-headers.ts'
import { addBlocks, bedrockMedia } from './content-blocks.ts'
import { converseFacts } from './converse-facts.ts'
import { ConverseStream } from './converse-stream.ts'
import {
  type BodyLimits,
  bodyLimitEdits,
  bodyLimitName,
  callersLimit,
  type LimitPath,
  readBodyLimits,
} from './limit-places.ts'
import { modelOfPath, operationOf } from './model-path.ts'
import { refuseMisspelt } from './refuse-misspelt.ts'

type Fields = Readonly<Record<string, unknown>>

const DECISIVE = ['messages', 'system', 'inferenceConfig', 'toolConfig', 'additionalModelRequestFields', 'serviceTier']
/** Nova's second generation puts 45 tokens of its own before a prompt, Llama's template 30. */
const HEAD_TOKENS = 64
const MESSAGE_TOKENS = 8
/** Prompts that come with tools and schemas: Claude's is the longest in words, Nova's second generation in fact (measured: 950). */
const PROMPT_TOKENS = { tools: 1_200, format: 256 }

/** Where a model's own body has its limit: it may be named there too. By the maker's name in the model's id. */
const OWN_LIMITS: readonly (readonly [maker: string, path: LimitPath])[] = [
  ['anthropic.', 'max_tokens'],
  ['amazon.nova', 'inferenceConfig.maxTokens'],
  ['amazon.nova', 'inferenceConfig.max_new_tokens'],
  ['amazon.titan', 'textGenerationConfig.maxTokenCount'],
  ['meta.', 'max_gen_len'],
  ['ai21.', 'max_tokens'],
  ['cohere.', 'max_tokens'],
  ['mistral.', 'max_tokens'],
  ['deepseek.', 'max_tokens'],
  ['openai.', 'max_completion_tokens'],
]

export const converseMetering: Metering = {
  readCall: (raw, { path, jsonDepth }) => readConverseCall(raw, path, jsonDepth),
  prepare: (raw, call, edits) =>
    edits.outputLimit === undefined ? raw : splice(raw, bodyLimitEdits(call.parsed as BodyLimits, edits.outputLimit)),
  outputLimitName: (call): string => bodyLimitName(call.parsed as BodyLimits),
  framing: 'aws_eventstream',
  createStreamReader: (call, _framing, headers): StreamReader => new ConverseStream(call, headers),
  jsonMembers: ['usage', 'serviceTier', 'performanceConfig', 'trace.promptRouter'],
  readJson: converseFacts,
}

function readConverseCall(raw: Buffer, path: string, jsonDepth: number): CallRequest {
  const model = modelOfPath(path)
  const body = readJsonBody(raw, jsonDepth)
  refuseMisspelt(body.members.keys(), DECISIVE)
  const fields = body.value
  const more = asObject(fields['additionalModelRequestFields']) ?? {}
  const limits = readBodyLimits(raw, body, limitPaths(model), jsonDepth)
  const counter = new InputCounter(bedrockMedia(model))
  return {
    model,
    stream: operationOf(path) === 'converse-stream',
    input: countInput(counter, body, model),
    generates: true,
    outputLimit: callersLimit(limits),
    answers: 1,
    ...readReasoning(fields, more),
    structured: isStructured(fields, more),
    tools: asArray(asObject(fields['toolConfig'])?.['tools']).some(
      (tool) => asObject(tool)?.['toolSpec'] !== undefined,
    ),
    audioOutput: false,
    ...serviceTier(fields),
    objects: [],
    unseenInput: counter.unseen || hasUnseenPrompt(model) || searches(fields),
    parsed: limits,
  }
}

function limitPaths(model: string): [LimitPath, ...LimitPath[]] {
  const own = OWN_LIMITS.filter(([maker]) => model.includes(maker)).map(([, path]) => path)
  return ['inferenceConfig.maxTokens', ...own.map((path) => `additionalModelRequestFields.${path}`)]
}

function countInput(counter: InputCounter, body: JsonBody, model: string): CallRequest['input'] {
  const fields = body.value
  const tools = asArray(asObject(fields['toolConfig'])?.['tools'])
  counter.addOverhead(HEAD_TOKENS + MESSAGE_TOKENS * asArray(fields['messages']).length)
  addBlocks(counter, fields['system'], model)
  addBlocks(counter, fields['messages'], model)
  if (tools.length > 0) counter.addOverhead(PROMPT_TOKENS.tools)
  for (const tool of tools) {
    if (asObject(tool)?.['cachePoint'] !== undefined) addBlocks(counter, [tool], model)
    else counter.addSchema(tool)
  }
  if (fields['outputConfig'] !== undefined) {
    counter.addOverhead(PROMPT_TOKENS.format)
    counter.addSchema(fields['outputConfig'])
  }
  counter.addSchema(fields['promptVariables'] ?? {})
  counter.addSchema(fields['additionalModelRequestFields'] ?? {})
  return counter.estimate()
}

/** Claude's `thinking` (formerly `reasoning_config`), Nova's `reasoningConfig`, OpenAI's `reasoning_effort`. */
export function readReasoning(fields: Fields, more: Fields): Pick<CallRequest, 'reasoning' | 'thinkingBudget'> {
  const config = asObject(more['thinking']) ?? asObject(more['reasoning_config']) ?? asObject(more['reasoningConfig'])
  const effort =
    more['reasoning_effort'] ??
    asObject(more['output_config'])?.['effort'] ??
    asObject(fields['outputConfig'])?.['effort']
  const budget = config && (readWholeNumber(config, 'budget_tokens', 0) ?? readWholeNumber(config, 'budgetTokens', 0))
  return {
    thinkingBudget: budget ?? 0,
    reasoning: (config !== undefined && config['type'] !== 'disabled') || (asText(effort) ?? 'none') !== 'none',
  }
}

function isStructured(fields: Fields, more: Fields): boolean {
  const format = asObject(asObject(fields['outputConfig'])?.['textFormat'])
  const own = asObject(asObject(more['output_config'])?.['format']) ?? asObject(more['response_format'])
  return format?.['type'] === 'json_schema' || own?.['type'] === 'json_schema'
}

function serviceTier(fields: Fields): Pick<CallRequest, 'serviceTier'> {
  const tier =
    asText(asObject(fields['serviceTier'])?.['type']) ?? optimized(asObject(fields['performanceConfig'])?.['latency'])
  return tier === undefined ? {} : { serviceTier: tier }
}

/** The text of a managed prompt stands at AWS. */
function hasUnseenPrompt(model: string): boolean {
  return model.includes(':prompt/')
}

/** Tools that AWS runs put what they find into the prompt. */
function searches(fields: Fields): boolean {
  return asArray(asObject(fields['toolConfig'])?.['tools']).some(
    (tool) => asObject(asObject(tool)?.['systemTool']) !== undefined,
  )
}
