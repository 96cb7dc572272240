import { newId } from '../../src/core/ids.ts'
import type { GrantRequest } from '../../src/wallet/wallet-types.ts'

/** Credit for "acme" in USD without any term, for tests that give it straight to the wallet; `more` says what differs. */
export function creditRequest(amountAtoms: bigint, more: Partial<GrantRequest> = {}): GrantRequest {
  const id = newId(Date.now())
  return {
    account: 'acme',
    operationId: id,
    id,
    key: undefined,
    unit: 'USD',
    scale: 9,
    amountAtoms,
    funding: 'invoiced',
    priority: 10,
    effectiveAtMs: undefined,
    expiresAtMs: undefined,
    appliesTo: undefined,
    costBasis: undefined,
    repaysDebt: undefined,
    labels: {},
    actor: 'test',
    ...more,
  }
}
