import type { AdminRefusal } from '../wallet/wallet-types.ts'

export interface WrongField {
  readonly field: string
  readonly message: string
}

/** A refusal of the admin API: `{"error":{"code","message","fields"}}` with its status. */
export class AdminError extends Error {
  readonly status: number
  readonly code: string
  readonly fields: readonly WrongField[]
  constructor(status: number, code: string, message: string, fields: readonly WrongField[] = []) {
    super(message)
    this.name = 'AdminError'
    this.status = status
    this.code = code
    this.fields = fields
  }
}

/** 422 for one field. */
export function wrongField(field: string, message: string, code: 'invalid' | 'out_of_range' = 'invalid'): AdminError {
  return new AdminError(422, code, `${field}: ${message}`, [{ field, message }])
}

export function unknown(what: string, id: string): AdminError {
  return new AdminError(404, `unknown_${what}`, `There is no ${what} "${id.slice(0, 128)}".`)
}

const REFUSALS: Record<AdminRefusal, () => AdminError> = {
  conflict: () =>
    new AdminError(409, 'conflict', 'This idempotency key (or grant key) was used before with other arguments.'),
  id_too_old: () =>
    new AdminError(409, 'conflict', 'This operation id is older than its record is kept: make a new one.'),
  out_of_range: () => wrongField('amount', 'the wallet would hold more than the largest amount', 'out_of_range'),
  unit_scale_mismatch: () =>
    new AdminError(409, 'conflict', 'The wallet keeps another number of decimals than the config says.', [
      { field: 'unit', message: 'its scale differs from the one the wallet was made with' },
    ]),
  too_many_grants: () => new AdminError(422, 'out_of_range', 'The account has 10,000 grants, which is the most.'),
  unknown_grant: () => new AdminError(404, 'unknown_grant', 'The account has no such grant.'),
  already_voided: () => new AdminError(409, 'conflict', 'The grant is voided already.'),
  already_clawed_back: () => new AdminError(409, 'conflict', 'The grant is clawed back already.'),
  no_payment: () =>
    new AdminError(409, 'conflict', 'The grant was made without a payment; make one with payment: pending.'),
  payment_order: () =>
    new AdminError(
      409,
      'conflict',
      'The payment is as far already, or further: pending, authorized, settled; or it has failed.',
    ),
  unknown_charge: () => new AdminError(404, 'unknown_charge', 'No charge has this id.'),
  charge_open: () =>
    new AdminError(
      409,
      'conflict',
      'The call timed out, and its own end may still come; refund it when that time is over.',
    ),
  refund_too_large: () =>
    new AdminError(422, 'out_of_range', 'amount: more than is left of the charge', [
      { field: 'amount', message: 'refunds of a charge never come to more than the charge' },
    ]),
  unknown_period: () => new AdminError(404, 'unknown_period', 'Nothing was ever posted in this period.'),
  already_closed: () => new AdminError(409, 'conflict', 'The period is closed already.'),
  open_holds: () =>
    new AdminError(409, 'conflict', 'Open calls pin the period; wait until they have ended, or close it by force.'),
  unknown_stop: () => new AdminError(404, 'unknown_stop', 'There is no such stop.'),
  too_many_stops: () => new AdminError(422, 'out_of_range', 'The account has 1,000 stops, which is the most.'),
  unknown_unmatched: () =>
    new AdminError(404, 'unknown_unmatched', 'No settlement that came too late has this sequence.'),
  already_resolved: () => new AdminError(409, 'conflict', 'It is charged or dismissed already.'),
  nothing_to_charge: () =>
    new AdminError(
      409,
      'conflict',
      'The timeout of this call charged as much already: dismiss it, and refund the timeout where it charged more.',
    ),
  insufficient_funds: () =>
    new AdminError(402, 'insufficient_funds', 'Less is free than the amount takes away.', [
      { field: 'amount', message: 'more than what is free' },
    ]),
  expired: () =>
    new AdminError(422, 'invalid', 'The grant has expired, or would before it could be used.', [
      { field: 'expires_at', message: 'not later than now and effective_at' },
    ]),
}

export function refusalError(status: AdminRefusal): AdminError {
  return REFUSALS[status]()
}
