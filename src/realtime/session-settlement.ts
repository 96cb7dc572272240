/** The ending of a session's money: the sum of what was stated, and an estimate of what had begun and was not. */
import { addUsage } from '../core/add-usage.ts'
import type { Usage } from '../core/usage.ts'
import type { AdmittedCall } from '../http/admitted-call.ts'
import type { CallDependencies } from '../http/call-dependencies.ts'
import type { Ending } from '../http/decide-end.ts'
import type { HeldMoney } from '../http/held-money.ts'
import { postCharge, type Settled } from '../http/settlement.ts'
import type { SessionReader } from '../providers/provider.ts'
import { priceSession } from './session-price.ts'

export interface SessionEnd {
  readonly ending: Ending
  readonly held: HeldMoney
  readonly sentMonotonicMs: number
}

const NOTHING: Usage = { tokens: {}, raw: null }

/** Recorded when this returns. */
export function endSession(
  deps: CallDependencies,
  admitted: AdmittedCall,
  reader: SessionReader,
  end: SessionEnd,
): Settled {
  const usages = [...reader.usages]
  const { counted } = reader
  if (counted) usages.push([admitted.call.model, withInput(reader, counted)])
  const all = usages.reduce((sum, [, usage]) => addUsage(sum, usage), NOTHING)
  return postCharge(
    deps,
    admitted,
    {
      ending: end.ending,
      facts: {
        usage: undefined,
        model: undefined,
        providerId: reader.sessionId,
        serviceTier: undefined,
        storedId: undefined,
      },
      usageFinal: true,
      failedInside: false,
      outputTokens: 0,
      unread: false,
      status: 101,
      sentMonotonicMs: end.sentMonotonicMs,
      firstByteMonotonicMs: undefined,
      held: end.held,
    },
    { kind: 'settle', usage: { ...all, raw: reader.summary }, source: counted ? 'estimate' : 'provider' },
    {
      priced: priceSession(admitted, usages),
      statedCost: undefined,
      chargedBy: 'ours',
      pricedModel: undefined,
      flags: [],
    },
  )
}

/** A response that had begun has read the conversation. */
function withInput(reader: SessionReader, counted: Usage): Usage {
  return { ...counted, tokens: { ...reader.nextInput, ...counted.tokens } }
}
