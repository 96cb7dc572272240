import { createHash } from 'node:crypto'
import type { Repeatable } from '../accounts/account-store.ts'
import { newId } from '../core/ids.ts'
import { AdminError, wrongField } from './admin-error.ts'
import type { Answer } from './route.ts'

const KEPT_MAX = 10_000

/**
 * First answers by Idempotency-Key, so that a repeat gets the body that the first call got. Kept in this process, for
 * every call; what changed money is answered by the wallet's own record (35 days) on other gateways and after a restart.
 */
export class FirstAnswers {
  readonly #kept = new Map<string, { readonly fingerprint: string; readonly body: unknown }>()

  /** The answer to repeat, or undefined for a key that is new. Throws 409 for other arguments under the same key. */
  find(key: string | undefined, fingerprint: string): Answer | undefined {
    const kept = key === undefined ? undefined : this.#kept.get(key)
    if (!kept) return undefined
    if (kept.fingerprint !== fingerprint) {
      throw new AdminError(409, 'conflict', 'This Idempotency-Key was used before with other arguments.')
    }
    return { status: 200, body: kept.body }
  }

  keep(key: string | undefined, fingerprint: string, body: unknown): void {
    if (key === undefined) return
    this.#kept.set(key, { fingerprint, body })
    if (this.#kept.size > KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value as string)
  }
}

/** Throws 422 for a key of another form: 1 to 255 visible characters. */
export function idempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw wrongField('Idempotency-Key', 'must be 1 to 255 visible ASCII characters')
  }
  return header
}

const CALLERS = 'key:'

/** Id of the wallet operation. A caller's key is marked as such: it never reads as an id of ours, which has a time in it. */
export function operationIdOf(key: string | undefined, nowMs: number): string {
  if (key === undefined) return newId(nowMs)
  return `${CALLERS}${/^[A-Za-z0-9._:@/+-]{1,128}$/.test(key) ? key : createHash('sha256').update(key).digest('hex')}`
}

/** Of a POST that can be sent again; undefined: of one without an Idempotency-Key. */
export function repeatableBy(operationId: string, fingerprint: string): Repeatable | undefined {
  // Apart from the wallet's, whose answers stand beside these: what made an account or a key is none of its operations.
  return isCallersKey(operationId) ? { operationId: `made:${operationId}`, fingerprint } : undefined
}

/** Whether an operation can be asked for again. */
export function isCallersKey(operationId: string): boolean {
  return operationId.startsWith(CALLERS)
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export function fingerprintOf(method: string, path: string, body: unknown): string {
  return sha256Of(JSON.stringify([method, path, body]))
}
