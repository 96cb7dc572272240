/** What an answer says of its money: headers, and the cost comment of a stream (SPEC section 6). */
import { formatAmount } from '../core/money.ts'
import { TOKEN_KINDS } from '../core/usage.ts'
import type { AdmittedCall } from './admitted-call.ts'
import { chargedAtoms, fundedAtoms } from './held-money.ts'
import type { Settled } from './settlement.ts'

/** [name, value, …]. `settled`: of an answer that ended before its headers were written. */
export function tollgateHeaders(admitted: AdmittedCall, settled: Settled | undefined): string[] {
  return ['x-tollgate-request-id', admitted.id, ...moneyHeaders(admitted, settled)]
}

/** The same without the request id, which write-error.ts writes itself. */
export function moneyHeaders(admitted: AdmittedCall, settled: Settled | undefined): string[] {
  const { terms, held, would, trimmedTo } = admitted
  const headers = ['x-tollgate-account', terms.account, 'x-tollgate-unit', terms.unit]
  if (held) {
    headers.push('x-tollgate-hold', formatAmount(held.heldAtoms, terms.scale))
    headers.push('x-tollgate-available', formatAmount(held.availableAtoms, terms.scale))
    // Postpaid is no overage: no flag, header or event.
    if (held.overage && held.overage.mode !== 'postpaid' && held.overage.atoms > 0n) {
      headers.push('x-tollgate-overage', held.overage.mode)
    }
  }
  if (trimmedTo !== undefined) {
    const name = admitted.metering.outputLimitName(admitted.call, admitted.upstream)
    headers.push('x-tollgate-trimmed', `${name}=${trimmedTo}`)
  }
  if (would) headers.push('x-tollgate-would', would.code)
  if (settled) headers.push('x-tollgate-cost', costOf(admitted, settled))
  return headers
}

/** Whether the caller or the config asked for the cost in the stream. */
export function wantsCostComment(admitted: AdmittedCall): boolean {
  return admitted.caller.streamCost || admitted.snapshot.settings.answers.streamCost
}

/** An SSE comment; goes before the terminal event. What is available is what the hold left, and what comes back of it. */
export function costComment(admitted: AdmittedCall, settled: Settled): Buffer {
  const { terms, held } = admitted
  let input = 0
  let output = 0
  for (const kind of TOKEN_KINDS) {
    const count = settled.usage.tokens[kind] ?? 0
    if (kind.endsWith('output')) output += count
    else input += count
  }
  // Counted from the first hold alone: what a stream took later, in slices, it took from what that hold had left.
  const left = held === undefined ? 0n : held.availableAtoms + fundedAtoms(admitted) - settled.chargeAtoms
  const cost = costOf(admitted, settled)
  const available = formatAmount(left > 0n ? left : 0n, terms.scale)
  return Buffer.from(
    `: tollgate cost=${cost} unit=${terms.unit} input=${input} output=${output} available=${available}\n\n`,
  )
}

function costOf(admitted: AdmittedCall, { held, chargeAtoms }: Settled): string {
  return formatAmount(chargedAtoms(admitted, held, chargeAtoms), admitted.terms.scale)
}
