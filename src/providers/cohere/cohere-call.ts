/** What the Cohere endpoints have in common: decisive fields, the limit, and how a call is prepared. */
import { type JsonBody, readJsonBody, refuseOtherSpellings } from '../json-body.ts'
import { limitEdits, type NamedLimit } from '../output-limit.ts'
import type { AnswerFacts, CallRequest, CallSource, Metering } from '../provider.ts'
import { asObject, asText, readModel } from '../read-fields.ts'
import { splice } from '../splice.ts'
import { readCohereUsage } from './cohere-usage.ts'

type Fields = Readonly<Record<string, unknown>>

/** `CallRequest.parsed` of this format: small, since it lives as long as the call. */
export interface CohereParsed {
  readonly insertAt: number
  readonly limits: readonly NamedLimit[]
}

const DECISIVE = new Set([
  'model',
  'stream',
  'max_tokens',
  'num_generations',
  'message',
  'messages',
  'prompt',
  'texts',
  'images',
  'inputs',
  'query',
  'documents',
  'conversation_id',
  'connectors',
  'thinking',
])

/**
 * Tokens of one image at the most: up to 12 tiles and a thumbnail of 256 each, raised by the separators.
 * Source: docs.cohere.com, "Image Inputs", "Understanding costs".
 */
export const COHERE_MEDIA = { image: (): number => 4096 }

export function readCohereBody(raw: Buffer, source: CallSource): JsonBody {
  const body = readJsonBody(raw, source.jsonDepth)
  refuseOtherSpellings(body, DECISIVE)
  return body
}

/** v1 has a default model where none is named. */
export function readOptionalModel(fields: Fields): string {
  return fields['model'] === undefined || fields['model'] === null ? '' : readModel(fields)
}

/** Writes the limit that money or a plan sets, as `max_tokens`. */
export const prepareCohere: Metering['prepare'] = (raw, call, edits) => {
  if (edits.outputLimit === undefined) return raw
  const { limits, insertAt } = call.parsed as CohereParsed
  return splice(raw, limitEdits(limits, insertAt, 'max_tokens', edits.outputLimit))
}

/** `thinking: {type, token_budget}` of v2. */
export function readThinking(fields: Fields): Pick<CallRequest, 'reasoning' | 'thinkingBudget'> {
  const thinking = asObject(fields['thinking'])
  if (!thinking || thinking['type'] === 'disabled') return { reasoning: false, thinkingBudget: 0 }
  const budget = thinking['token_budget']
  const tokens = typeof budget === 'number' && Number.isSafeInteger(budget) && budget > 0 ? budget : 0
  return { reasoning: true, thinkingBudget: tokens }
}

/** `response_format` with a schema: `schema` in v1 and early v2, `json_schema` in v2. */
export function asksForSchema(fields: Fields): boolean {
  const format = asObject(fields['response_format'])
  return asObject(format?.['json_schema'] ?? format?.['schema']) !== undefined
}

/** Facts of a whole answer with `meta`: its id stands under the name that the endpoint has for it. */
export function readMetaJson(members: Fields): AnswerFacts {
  return {
    usage: readCohereUsage(members['meta']),
    model: undefined,
    providerId: asText(members['id']) ?? asText(members['response_id']) ?? asText(members['generation_id']),
    serviceTier: undefined,
    storedId: undefined,
  }
}

/** Members of such an answer. */
export const META_MEMBERS = ['id', 'response_id', 'generation_id', 'meta'] as const
