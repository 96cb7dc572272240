/**
 * Asks a stream of chat or legacy completions for its usage. Without `stream_options.include_usage` OpenAI and Azure
 * report none; with it, a last chunk without choices carries it.
 * Source: openai-node src/resources/chat/completions/completions.ts, ChatCompletionStreamOptions.
 */
import type { Upstream } from '../../config/snapshot.ts'
import { type JsonBody, readMembers } from '../json-body.ts'
import { type CallSource, InvalidCall } from '../provider.ts'
import { asObject, readFlag } from '../read-fields.ts'
import type { Edit } from '../splice.ts'

/** Mistral refuses `stream_options` (422) and puts usage beside the last choice by itself. */
const NEVER_ASKED = ['mistral.ai']
/** Versions of Azure's API from which on it takes the option: earlier ones refuse it (400). Source: its changelog. */
const AZURE_SINCE = '2024-09-01'
const AZURE_VERSION = /[?&]api-version=(\d{4}-\d\d-\d\d)/

export interface UsageRequest {
  /** The caller asks for the usage chunk. */
  readonly asked: boolean
  /** What asks for it in the caller's place; undefined where the caller does, or the API would refuse it. */
  readonly edit: Edit | undefined
}

/** Reads `stream_options` of a stream. Throws InvalidCall where it is ambiguous. */
export function readUsageRequest(raw: Buffer, body: JsonBody, source: CallSource): UsageRequest {
  const span = body.members.get('stream_options')
  if (!span) {
    if (refusesOption(source)) return { asked: false, edit: undefined }
    return { asked: false, edit: insertion(body.insertAt, '"stream_options":{"include_usage":true},') }
  }
  const value = body.value['stream_options']
  if (value === null)
    return { asked: false, edit: { from: span.valueStart, to: span.valueEnd, text: '{"include_usage":true}' } }
  const options = asObject(value)
  if (!options) throw new InvalidCall('"stream_options" must be an object or null.', 'stream_options')
  const inner = readMembers(raw, span.valueStart, source.jsonDepth, 'stream_options.')
  if (readFlag(options, 'include_usage') === true) return { asked: true, edit: undefined }
  const own = inner.get('include_usage')
  if (own) return { asked: false, edit: { from: own.valueStart, to: own.valueEnd, text: 'true' } }
  const text = inner.size > 0 ? '"include_usage":true,' : '"include_usage":true'
  return { asked: false, edit: insertion(span.valueStart + 1, text) }
}

function refusesOption({ path, query }: CallSource): boolean {
  const version = path.includes('/deployments/') ? AZURE_VERSION.exec(query)?.[1] : undefined
  return version !== undefined && version < AZURE_SINCE
}

/** False where the option itself would be refused. */
export function mayAskForUsage(upstream: Upstream): boolean {
  if (upstream.askForUsage !== undefined) return upstream.askForUsage
  const host = upstream.baseUrl.hostname
  return !NEVER_ASKED.some((name) => host === name || host.endsWith(`.${name}`))
}

function insertion(at: number, text: string): Edit {
  return { from: at, to: at, text }
}
