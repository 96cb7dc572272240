/** What a whole answer of `invoke` says: the body's own counts first, then those of its headers. */
import type { Usage } from '../../core/usage.ts'
import { memberObject, readCount } from '../counts.ts'
import { readMessagesUsage } from '../messages/messages-usage.ts'
import type { AnswerFacts, AnswerHeaders, CallRequest } from '../provider.ts'
import { asArray, asObject, asText } from '../read-fields.ts'
import { answeredTier, headerCounts, requestId } from './answer-headers.ts'
import type { InvokeParsed } from './invoke.ts'
import {
  chatCounts,
  converseCounts,
  hasCounts,
  mergeCounts,
  metricsCounts,
  type Stated,
  type TokenCounts,
  topLevelCounts,
} from './token-counts.ts'

type Fields = Readonly<Record<string, unknown>>

export const METRICS = 'amazon-bedrock-invocationMetrics'
const GUARDRAIL = 'amazon-bedrock-guardrailAction'
const TRACE_INPUT = 'amazon-bedrock-trace.guardrail.input'
const TRACE_OUTPUTS = 'amazon-bedrock-trace.guardrail.outputs'

export const INVOKE_MEMBERS = [
  'id',
  'usage',
  'meta.billed_units',
  'prompt_token_count',
  'generation_token_count',
  'inputTextTokenCount',
  'results.*.tokenCount',
  'finish_reasons',
  GUARDRAIL,
  TRACE_INPUT,
  TRACE_OUTPUTS,
  METRICS,
] as const

/** The same members out of one chunk of a stream, those that it has. */
export function streamMembers(chunk: Fields): Fields {
  const guardrail = memberObject(memberObject(chunk, 'amazon-bedrock-trace'), 'guardrail')
  const found: Record<string, unknown> = {}
  const keep = (name: string, value: unknown): void => {
    if (value !== undefined && value !== null) found[name] = value
  }
  for (const name of ['id', 'prompt_token_count', 'generation_token_count', 'inputTextTokenCount', GUARDRAIL, METRICS])
    keep(name, chunk[name])
  keep('generation_token_count', chunk['totalOutputTextTokenCount'])
  keep('usage', chunk['usage'] ?? memberObject(chunk, 'metadata')?.['usage'])
  keep('meta.billed_units', memberObject(chunk, 'meta')?.['billed_units'])
  keep(TRACE_INPUT, guardrail?.['input'])
  keep(TRACE_OUTPUTS, guardrail?.['outputs'])
  return found
}

const NO_USAGE = { tokens: {}, raw: null }

export function invokeFacts(members: Fields, call: CallRequest, headers: AnswerHeaders): AnswerFacts {
  const usage = readInvokeUsage(members, call, headers)
  const counted = usage ? undefined : countedOf(members, call)
  return {
    usage,
    ...(counted === undefined ? {} : { counted }),
    model: call.model,
    providerId: requestId(headers) ?? asText(members['id']),
    serviceTier: answeredTier(headers),
    storedId: undefined,
  }
}

/** `members`: of a whole answer, or all that a stream has said. */
export function readInvokeUsage(members: Fields, call: CallRequest, headers: AnswerHeaders): Usage | undefined {
  // A model that was never asked is not billed, whatever is said of the text that came in place of its answer.
  if (blockedByGuardrail(members, headers)) return undefined
  const forAnHour = call.input.cacheWriteKind === 'cache_write_1h'
  const later = [place(metricsCounts(members[METRICS]), METRICS, members[METRICS]), headerPlace(headers)]
  if ((call.parsed as InvokeParsed).message) {
    const usage = readMessagesUsage(members['usage'], forAnHour)
    if (usage) return withFlag(usage, later)
  }
  const own = ownCounts(members)
  const places = [...own, ...later].filter((stated) => stated !== undefined)
  const merged = mergeCounts(places, { forAnHour, generates: call.generates })
  const searches = readCount(memberObject(members, 'meta.billed_units'), 'search_units')
  return merged && searches !== undefined ? { ...merged, units: { searches } } : merged
}

function ownCounts(members: Fields): (Stated | undefined)[] {
  const { usage } = members
  const billed = asObject(members['meta.billed_units'])
  const top = topLevelCounts(members, members['results.*.tokenCount'])
  return [
    place(converseCounts(usage) ?? chatCounts(usage), 'usage', usage),
    place(
      billed && { input: readCount(billed, 'input_tokens'), output: readCount(billed, 'output_tokens') },
      'billed_units',
      billed,
    ),
    hasCounts(top) ? { counts: top, raw: { input: top.input, output: top.output } } : undefined,
  ]
}

function headerPlace(headers: AnswerHeaders): Stated | undefined {
  const counts = headerCounts(headers)
  return place(counts, 'headers', counts)
}

function place(counts: TokenCounts | undefined, name: string, raw: unknown): Stated | undefined {
  return counts && hasCounts(counts) ? { counts, raw: { [name]: raw } } : undefined
}

/** A message's own usage counts, where the metrics say something else too. */
function withFlag(usage: Usage, others: readonly (Stated | undefined)[]): Usage {
  const { input, output } = usage.tokens
  const differ = others.some(
    (stated) =>
      stated &&
      ((stated.counts.input !== undefined && stated.counts.input !== input) ||
        (stated.counts.output !== undefined && stated.counts.output !== output)),
  )
  return differ ? { ...usage, flags: [...(usage.flags ?? []), 'counts_differ'] } : usage
}

/**
 * The guardrail answered in the model's place: its trace has judged the input and no output, and neither metrics nor
 * headers count an inference. AWS then bills the guardrail alone.
 * Source: aws.amazon.com/bedrock/pricing, "Guardrails"; recorded traffic.
 */
function blockedByGuardrail(members: Fields, headers: AnswerHeaders): boolean {
  return (
    members[GUARDRAIL] === 'INTERVENED' &&
    members[TRACE_INPUT] !== undefined &&
    members[TRACE_OUTPUTS] === undefined &&
    members[METRICS] === undefined &&
    !hasCounts(headerCounts(headers))
  )
}

/** Where nothing is stated: nothing for what a guardrail kept from the model, else the searches or images that were made. */
function countedOf(members: Fields, call: CallRequest): Usage | undefined {
  if (members[GUARDRAIL] === 'INTERVENED' && members[TRACE_OUTPUTS] === undefined) return NO_USAGE
  const { family } = call.parsed as InvokeParsed
  if (family.name === 'rerank') return { ...NO_USAGE, ...(call.units ? { units: call.units } : {}) }
  if (family.name !== 'images') return undefined
  const reasons = asArray(members['finish_reasons'])
  const filtered = reasons.filter((reason) => reason !== null).length
  const asked = reasons.length || (call.units?.images ?? 1)
  return { ...NO_USAGE, units: { images: Math.max(0, asked - filtered) } }
}
