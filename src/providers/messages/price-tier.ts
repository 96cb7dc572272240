/**
 * The class of service: `service_tier`; `speed: fast` and `inference_geo: us`, which have prices of their own. An answer
 * states all of them in its usage, where it knows them; where a model runs that was not told so is the workspace's choice.
 * Sources: platform.claude.com/docs/en/api/service-tiers, /build-with-claude/fast-mode, /manage-claude/data-residency.
 */
import type { CallRequest } from '../provider.ts'
import { asText, readTier } from '../read-fields.ts'

type Fields = Readonly<Record<string, unknown>>

const FAST = 'fast'
const US = 'us'

export function askedTier(fields: Fields): { readonly serviceTier?: string } {
  const us = fields['inference_geo'] === US
  if (fields['speed'] === FAST) return { serviceTier: us ? 'fast_us' : FAST }
  return us ? { serviceTier: US } : readTier(fields)
}

/** undefined where the answer does not say: what was asked for counts. */
export function answeredTier(usage: Fields | undefined, call: CallRequest): string | undefined {
  const [speed, geo] = [asText(usage?.['speed']), asText(usage?.['inference_geo'])]
  const asked = call.serviceTier
  const fast = speed === FAST || (speed === undefined && (asked === FAST || asked === 'fast_us'))
  const us = geo === US || (geo === undefined && (asked === US || asked === 'fast_us'))
  // In a tier that was bought ahead, too, what runs in the United States costs so much more.
  if (us) return fast ? 'fast_us' : US
  return fast ? FAST : asText(usage?.['service_tier'])
}
