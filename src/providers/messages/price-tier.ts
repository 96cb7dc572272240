/**
 * The class of service: `service_tier`, and `speed: fast`, which has a price of its own. An answer states both in its
 * usage, where it knows them.
 * Sources: platform.claude.com/docs/en/api/service-tiers and /build-with-claude/fast-mode.
 */
import type { CallRequest } from '../provider.ts'
import { asText, readTier } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const FAST = 'fast'

export function askedTier(fields: Fields): { readonly serviceTier?: string } {
  return fields['speed'] === FAST ? { serviceTier: FAST } : readTier(fields)
}

/** undefined where the answer does not say: what was asked for counts. */
export function answeredTier(usage: Fields | undefined, call: CallRequest): string | undefined {
  const speed = asText(usage?.['speed'])
  if (speed === FAST || (speed === undefined && call.serviceTier === FAST)) return speed
  return asText(usage?.['service_tier'])
}
