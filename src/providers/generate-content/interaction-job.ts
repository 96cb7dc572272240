/**
 * An interaction in the background: queued or in progress until it has another status. Each look at it repeats its usage.
 * Source: googleapis/js-genai, the Interactions API's InteractionStatus; ai.google.dev/gemini-api/docs/interactions.
 */
import { isPlainId } from '../object-id.ts'
import type { JobFacts, JobReader } from '../provider.ts'
import { asText } from '../read-fields.ts'
import { readInteractionUsage } from './interactions-usage.ts'

const OPEN = new Set(['queued', 'in_progress'])
const FAILED = new Set(['failed', 'cancelled'])
const NAME = 'interaction'
const CHARACTERS_PER_TOKEN = 4

/** Undefined: it has its end, or nothing names it. */
export function interactionJob(id: string | undefined, status: unknown): JobFacts | undefined {
  if (!isPlainId(id) || !OPEN.has(asText(status) ?? '')) return undefined
  return { id, reader: NAME, pollPath: (path) => `${path}/${id}` }
}

export const interactionJobReader: JobReader = {
  name: NAME,
  members: ['id', 'model', 'agent', 'usage', 'service_tier', 'status', 'steps'],
  read(members) {
    const status = asText(members['status'])
    if (status === undefined || OPEN.has(status)) return { status: 'open' }
    const { steps } = members
    const model = asText(members['model']) ?? asText(members['agent'])
    const id = asText(members['id'])
    return {
      status: 'ended',
      facts: {
        usage: readInteractionUsage(members['usage'], model ?? ''),
        model,
        providerId: id,
        serviceTier: asText(members['service_tier']),
        storedId: id,
      },
      failed: FAILED.has(status),
      outputTokens:
        Array.isArray(steps) && steps.length > 0 ? Math.ceil(JSON.stringify(steps).length / CHARACTERS_PER_TOKEN) : 0,
    }
  },
}
