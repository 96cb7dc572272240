/** What a caller is told of a call that fails after it was admitted. */
import { type ErrorFacts, errorFacts } from '../errors.ts'
import type { Cut } from '../wallet/cuts.ts'
import type { AdmittedCall } from './admitted-call.ts'

export function failure(
  admitted: AdmittedCall,
  code: ErrorFacts['code'],
  message: string,
  more: Partial<ErrorFacts> = {},
): ErrorFacts {
  return errorFacts(code, message, admitted.id, { unit: admitted.terms.unit, ...more })
}

export function redirected(admitted: AdmittedCall, status: number): ErrorFacts {
  const message = `The upstream "${admitted.upstream.name}" answered with a redirect (${status}), which is never followed.`
  return failure(admitted, 'upstream_unreachable', message)
}

export function noAnswer(admitted: AdmittedCall, timeout: boolean): ErrorFacts {
  const { name } = admitted.upstream
  return timeout
    ? failure(admitted, 'upstream_timeout', `The upstream "${name}" did not answer in time.`)
    : failure(admitted, 'upstream_unreachable', `The upstream "${name}" could not be reached.`)
}

export function brokenOff(admitted: AdmittedCall, timeout: boolean): ErrorFacts {
  const code = timeout ? 'upstream_timeout' : 'upstream_unreachable'
  return failure(admitted, code, `The upstream "${admitted.upstream.name}" broke off its answer.`)
}

export function stopping(admitted: AdmittedCall): ErrorFacts {
  const message = 'The gateway is stopping; the answer was broken off.'
  return failure(admitted, 'overloaded', message, { retryAfterSeconds: 1 })
}

export function stoppedByHand(admitted: AdmittedCall, what: Cut): ErrorFacts {
  const message = 'The call was stopped by hand; ask whoever runs the account.'
  return failure(admitted, 'stopped', message, { rule: `${what.kind}:${what.value}` })
}

export function gatewayFault(admitted: AdmittedCall): ErrorFacts {
  return failure(admitted, 'internal', 'The gateway failed on this call; what was used is in the ledger.')
}
