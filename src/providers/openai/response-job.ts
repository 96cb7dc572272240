/**
 * A background response: queued and in_progress until it is completed, incomplete, failed or cancelled. Each look at it
 * repeats its usage. Source: OpenAI's guide "Background mode"; openai-node src/resources/responses/responses.ts.
 */
import { isPlainId } from '../object-id.ts'
import type { CallRequest, JobFacts, JobReader } from '../provider.ts'
import { asText } from '../read-fields.ts'
import { countToolCalls, readResponsesUsage } from './responses-usage.ts'

const OPEN = new Set(['queued', 'in_progress'])
const ENDED = new Set(['completed', 'incomplete', 'failed', 'cancelled', 'expired'])
const NAME = 'response'
const CHARACTERS_PER_TOKEN = 4

/** Undefined: it has its end, or nothing names it. */
export function responseJob(
  id: string | undefined,
  status: unknown,
  { beside }: Pick<CallRequest, 'beside'>,
): JobFacts | undefined {
  if (!isPlainId(id) || !OPEN.has(asText(status) ?? '')) return undefined
  return {
    id,
    reader: NAME,
    pollPath: (path) => `${path}/${id}`,
    ...(beside ? { notes: { imageModel: beside.model } } : {}),
  }
}

export const responseJobReader: JobReader = {
  name: NAME,
  members: ['id', 'model', 'usage', 'service_tier', 'output', 'tool_usage', 'status'],
  read(members, notes) {
    const status = asText(members['status']) ?? ''
    if (!ENDED.has(status)) return { status: 'open' }
    const { output } = members
    return {
      status: 'ended',
      facts: {
        usage: readResponsesUsage(
          members['usage'],
          countToolCalls(output, members['tool_usage'], asText(notes['imageModel'])),
        ),
        model: asText(members['model']),
        providerId: asText(members['id']),
        serviceTier: asText(members['service_tier']),
        storedId: asText(members['id']),
      },
      failed: status !== 'completed' && status !== 'incomplete',
      outputTokens:
        Array.isArray(output) && output.length > 0
          ? Math.ceil(JSON.stringify(output).length / CHARACTERS_PER_TOKEN)
          : 0,
    }
  },
}
