/** What the OpenAI endpoints have in common: decisive fields, edits, tools, reasoning, and how a call is prepared. */
import type { Upstream } from '../../config/snapshot.ts'
import { type JsonBody, readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { limitEdits, type NamedLimit } from '../output-limit.ts'
import type { CallRequest } from '../provider.ts'
import { asArray, asObject } from '../read-fields.ts'
import { type Edit, splice } from '../splice.ts'
import { mayAskForUsage, type UsageRequest } from './include-usage.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of this format: small, since it lives as long as the call. */
export interface OpenAIParsed {
  readonly insertAt: number
  readonly limits: readonly NamedLimit[]
  /** Whether the caller asks for usage, and what asks in its place; undefined where nothing streams. */
  readonly usage: UsageRequest | undefined
  /** Set by `prepare` where that edit was made: the usage chunk is then ours and is taken out again. */
  usageIsOurs: boolean
  /** The provider keeps the answer under its id. */
  readonly stored: boolean
  /** The answer is added to it. */
  readonly conversation?: string | undefined
}

const DECISIVE = new Set([
  'model',
  'stream',
  'stream_options',
  'n',
  'best_of',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'n_predict',
  'messages',
  'input',
  'prompt',
  'background',
  'previous_response_id',
  'conversation',
  'assistant_id',
  'service_tier',
])

/** Tools that the caller runs, not the provider: they read nothing into the prompt by themselves. */
const CALLER_RUN = new Set([
  'function',
  'custom',
  'computer_use_preview',
  'computer',
  'local_shell',
  'apply_patch',
  'namespace',
])
/** Members that make the provider fetch input. */
const FETCHING = ['web_search_options', 'search_parameters', 'plugins', 'data_sources']

export function readOpenAIBody(raw: Buffer, jsonDepth: number): JsonBody {
  const body = readJsonBody(raw, jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  return body
}

/** The body with our edits; also notes on the call whether the usage chunk is ours. */
export function prepareOpenAI(
  raw: Buffer,
  call: CallRequest,
  edits: { readonly outputLimit: number | undefined; readonly upstream: Upstream },
  limitName: string,
): Buffer {
  const parsed = call.parsed as OpenAIParsed
  const made: Edit[] = []
  const asking = mayAskForUsage(edits.upstream) ? parsed.usage?.edit : undefined
  parsed.usageIsOurs = asking !== undefined
  if (asking) made.push(asking)
  if (edits.outputLimit !== undefined)
    made.push(...limitEdits(parsed.limits, parsed.insertAt, limitName, edits.outputLimit))
  return splice(raw, made)
}

/** The caller's own parameter (the first that is named), else `name`. */
export function ownLimitName(call: CallRequest, name: string): string {
  const parsed = call.parsed as OpenAIParsed
  return parsed.limits.find((limit) => limit.tokens !== undefined)?.name ?? name
}

export function hasTools(fields: Fields): boolean {
  return asArray(fields['tools']).length > 0 || asArray(fields['functions']).length > 0
}

/** Hosted tools, search and the like: the provider puts pages into the prompt that no body shows. */
export function fetchesInput(fields: Fields): boolean {
  if (FETCHING.some((name) => fields[name] !== undefined && fields[name] !== null && fields[name] !== false))
    return true
  return asArray(fields['tools']).some((tool) => {
    const type = asObject(tool)?.['type']
    return typeof type === 'string' && !CALLER_RUN.has(type)
  })
}

export interface Reasoning {
  readonly asked: boolean
  /** Tokens; 0: none stated. */
  readonly budget: number
}

/** `reasoning_effort`, OpenRouter's and the Responses API's `reasoning`, `thinking` and `enable_thinking` of others. */
export function readReasoning(fields: Fields): Reasoning {
  const reasoning = asObject(fields['reasoning'])
  const thinking = asObject(fields['thinking'])
  const effort = fields['reasoning_effort'] ?? reasoning?.['effort']
  const budget = Math.max(
    tokens(reasoning?.['max_tokens']),
    tokens(thinking?.['budget_tokens']),
    tokens(fields['thinking_budget']),
  )
  const named =
    (typeof effort === 'string' && effort !== 'none') ||
    (reasoning !== undefined &&
      effort !== 'none' &&
      reasoning['enabled'] !== false &&
      Object.keys(reasoning).length > 0) ||
    (thinking !== undefined && thinking['type'] !== 'disabled') ||
    fields['enable_thinking'] === true
  return { asked: named || budget > 0, budget }
}

/** A strict JSON schema in `response_format` or `text.format`. */
export function isStrictSchema(format: unknown): boolean {
  const fields = asObject(format)
  if (fields?.['type'] !== 'json_schema') return false
  return (asObject(fields['json_schema']) ?? fields)['strict'] === true
}

function tokens(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
}
