/**
 * Every refusal and failure of ours, by what they are about. One spelling from Lua status to `x-tollgate-error`,
 * metric label and docs. An upstream's own error is not here: it passes through byte for byte.
 */
interface ErrorRow {
  readonly status: number
  /** Sent as x-should-retry: false where a retry cannot help. */
  readonly retry: boolean
  readonly openai: string
  readonly anthropic: string
}

export const ERRORS = {
  invalid_request: { status: 400, retry: false, openai: 'invalid_request_error', anthropic: 'invalid_request_error' },
  invalid_key: { status: 401, retry: false, openai: 'authentication_error', anthropic: 'authentication_error' },
  account_suspended: { status: 403, retry: false, openai: 'permission_error', anthropic: 'permission_error' },
  stopped: { status: 403, retry: false, openai: 'permission_error', anthropic: 'permission_error' },
  not_entitled: { status: 403, retry: false, openai: 'permission_error', anthropic: 'permission_error' },
  endpoint_not_metered: { status: 403, retry: false, openai: 'permission_error', anthropic: 'permission_error' },
  model_unpriced: { status: 403, retry: false, openai: 'permission_error', anthropic: 'permission_error' },
  not_found: { status: 404, retry: false, openai: 'invalid_request_error', anthropic: 'not_found_error' },
  call_too_expensive: { status: 402, retry: false, openai: 'insufficient_quota', anthropic: 'billing_error' },
  unit_mismatch: { status: 402, retry: false, openai: 'insufficient_quota', anthropic: 'billing_error' },
  insufficient_funds: { status: 402, retry: false, openai: 'insufficient_quota', anthropic: 'billing_error' },
  budget_exceeded: { status: 402, retry: false, openai: 'insufficient_quota', anthropic: 'billing_error' },
  rate_limited: { status: 429, retry: true, openai: 'rate_limit_error', anthropic: 'rate_limit_error' },
  too_many_concurrent: { status: 429, retry: true, openai: 'rate_limit_error', anthropic: 'rate_limit_error' },
  held_by_open_calls: { status: 429, retry: true, openai: 'rate_limit_error', anthropic: 'rate_limit_error' },
  upload_timeout: { status: 408, retry: true, openai: 'invalid_request_error', anthropic: 'timeout_error' },
  body_too_large: { status: 413, retry: false, openai: 'invalid_request_error', anthropic: 'request_too_large' },
  wallet_unavailable: { status: 503, retry: true, openai: 'server_error', anthropic: 'overloaded_error' },
  overloaded: { status: 503, retry: true, openai: 'server_error', anthropic: 'overloaded_error' },
  upstream_unreachable: { status: 502, retry: true, openai: 'server_error', anthropic: 'api_error' },
  upstream_timeout: { status: 504, retry: true, openai: 'server_error', anthropic: 'timeout_error' },
  internal: { status: 500, retry: true, openai: 'server_error', anthropic: 'api_error' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** One refusal with its figures: what goes into the headers and the body. Amounts are decimal strings. */
export interface ErrorFacts {
  readonly code: ErrorCode
  /** What happened, the figure, and what to do. Never a secret, never a prompt. */
  readonly message: string
  /** Which rule said so: `funds`, `plan.models`, `max_cost_per_call`, `upstreams`, …; null where the code says it all. */
  readonly rule: string | null
  readonly needed: string | null
  readonly available: string | null
  readonly unit: string | null
  readonly resetsAt: string | null
  readonly topUpUrl: string | null
  readonly requestId: string
  readonly retryAfterSeconds: number | undefined
  /** The field of the request that is wrong (OpenAI's `param`). */
  readonly param: string | null
}

/** A refusal on its way up to the one place that answers. */
export class Refusal extends Error {
  readonly facts: ErrorFacts
  constructor(facts: ErrorFacts) {
    super(facts.message)
    this.name = 'Refusal'
    this.facts = facts
  }
}

/** Fills the figures that a refusal does not have with null. */
export function errorFacts(
  code: ErrorCode,
  message: string,
  requestId: string,
  more: Partial<Omit<ErrorFacts, 'code' | 'message' | 'requestId'>> = {},
): ErrorFacts {
  return {
    code,
    message,
    rule: null,
    needed: null,
    available: null,
    unit: null,
    resetsAt: null,
    topUpUrl: null,
    retryAfterSeconds: undefined,
    param: null,
    ...more,
    requestId,
  }
}

/** The `tollgate` object of an error body (SPEC section 6). */
export function tollgateMember(facts: ErrorFacts): Readonly<Record<string, string | null>> {
  return {
    code: facts.code,
    rule: facts.rule,
    needed: facts.needed,
    available: facts.available,
    unit: facts.unit,
    resets_at: facts.resetsAt,
    top_up_url: facts.topUpUrl,
    request_id: facts.requestId,
  }
}

/** The error type of a format for one of our codes. Other formats name their errors by the status. */
export function formatErrorType(code: ErrorCode, format: 'openai' | 'anthropic'): string {
  return ERRORS[code][format]
}

/** Redis did not answer. `unknown`: the script may have run all the same; ask again with the same id. */
export class WalletUnavailable extends Error {
  readonly unknown: boolean
  constructor(message: string, unknown: boolean, options?: ErrorOptions) {
    super(message, options)
    this.name = 'WalletUnavailable'
    this.unknown = unknown
  }
}

/** Ledger entries that Redis has trimmed and that no export of this gateway has. */
export class EntriesMissing extends Error {
  override readonly name = 'EntriesMissing'
  /** The first one after them. */
  readonly nextSeq: number
  constructor(account: string, firstSeq: number, lastSeq: number) {
    super(
      `entries ${firstSeq} to ${lastSeq} of ${account} are not in Redis any more, and not in the export of this gateway: ask the gateway that has it (ledger.export), or bring its files here`,
    )
    this.nextSeq = lastSeq + 1
  }
}
