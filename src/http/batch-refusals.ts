/** Why a batch is too expensive: one of its lines, or all of them together. */
import type { GroupCeiling } from '../core/batch-ceiling.ts'
import { type Atoms, formatAmount } from '../core/money.ts'
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { ReadCall } from './read-call.ts'

export function batchTooExpensive(read: ReadCall, groups: readonly GroupCeiling[]): ErrorFacts | undefined {
  const { maxCostPerCallAtoms, maxCostPerBatchAtoms } = read.plan
  const line = groups.reduce((most, { lineAtoms }) => (lineAtoms > most ? lineAtoms : most), 0n)
  if (maxCostPerCallAtoms !== undefined && line > maxCostPerCallAtoms)
    return refusal(read, 'max_cost_per_call', 'A line of this batch', line, maxCostPerCallAtoms, 'one call')
  const whole = groups.reduce((sum, { atoms }) => sum + atoms, 0n)
  if (maxCostPerBatchAtoms !== undefined && whole > maxCostPerBatchAtoms)
    return refusal(read, 'max_cost_per_batch', 'This batch', whole, maxCostPerBatchAtoms, 'one batch')
  return undefined
}

function refusal(
  read: ReadCall,
  rule: string,
  what: string,
  neededAtoms: Atoms,
  allowedAtoms: Atoms,
  of: string,
): ErrorFacts {
  const { scale, unit } = read.plan
  const [needed, available] = [formatAmount(neededAtoms, scale), formatAmount(allowedAtoms, scale)]
  const message = `${what} may cost up to ${needed} ${unit}; its plan allows ${available} for ${of}. Give its lines lower output limits, or split it.`
  return errorFacts('call_too_expensive', message, read.id, { rule, needed, available, unit })
}
