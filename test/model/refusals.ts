/** Which answers are kept in the list of refusals of an account, and how. */
import type { CheckpointResult, Held, HoldRefused, Refusal } from '../../src/wallet/wallet-types.ts'
import type { Step } from './steps.ts'

/** What says more of the request than of the account, or could not be told from a retry, is in no list. */
const NOT_KEPT = ['held', 'checkpointed', 'conflict', 'id_closed', 'id_too_old', 'hold_not_open']

/** undefined: nothing was refused, or it is told by the answer alone. The time is Redis's own: 0. */
export function refusalBy(step: Step, answer: unknown): Refusal | undefined {
  if (step.kind === 'hold' && !step.request.dryRun) {
    const refused = answer as Held | HoldRefused
    return refused.replay ? undefined : kept('hold', step.request.id, refused as HoldRefused)
  }
  return step.kind === 'checkpoint' ? kept('checkpoint', step.request.id, answer as CheckpointResult) : undefined
}

function kept(
  operation: Refusal['operation'],
  id: string,
  answer: HoldRefused | CheckpointResult,
): Refusal | undefined {
  if (NOT_KEPT.includes(answer.status) || !('neededAtoms' in answer)) return undefined
  const { status, neededAtoms, availableAtoms, rule = '' } = answer
  return { atMs: 0, operation, id, status, needed: neededAtoms, available: availableAtoms, rule }
}
