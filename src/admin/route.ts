import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { AccountStore } from '../accounts/account-store.ts'
import type { AccountDirectory } from '../accounts/directory.ts'
import type { BooksHeads } from '../books/books-heads.ts'
import type { ConfigStore, ReloadResult } from '../config/config-store.ts'
import type { AdminRole } from '../config/snapshot.ts'
import type { Log } from '../log.ts'
import type { Readiness } from '../readiness.ts'
import type { StopKind, Wallet } from '../wallet/wallet-types.ts'
import type { Deliveries } from '../webhooks/deliveries.ts'
import type { RequestClaims } from './request-claims.ts'
import type { Actor } from './tokens.ts'

/** What the handlers work with; made once by the gateway. */
export interface AdminDependencies {
  readonly store: Pick<ConfigStore, 'current' | 'validateTexts'>
  readonly wallet: Wallet
  /** Accounts and keys that are kept in Redis. */
  readonly kept: AccountStore
  /** All accounts, those of the files too. */
  readonly accounts: AccountDirectory
  readonly claims: RequestClaims
  /** How far the exported books are, as Redis has it; on gateways without books too. */
  readonly books: BooksHeads
  readonly log: Log
  /** Reads the hot files anew, on every worker. */
  readonly reload: () => Promise<ReloadResult>
  readonly webhooks: Pick<Deliveries, 'report' | 'test'>
  readonly metrics: () => Promise<string>
  readonly ready: () => Promise<Readiness>
  /** Something is due in an account at that time: a grant becomes effective, or expires. */
  readonly touch: (account: string, atMs: number) => void
  /** Every gateway ends the open calls that it names, within two seconds. */
  readonly cut: (stop: { readonly account: string; readonly kind: StopKind; readonly value: string }) => Promise<void>
  /** An account in Redis was made, changed, closed or opened again: its allowance may be another. Never rejects. */
  readonly accountChanged: (account: string) => Promise<void>
  readonly nowMs?: () => number
}

export interface Asked<Body, Query> {
  readonly admin: AdminDependencies
  readonly nowMs: number
  readonly actor: Actor
  /** Decoded parts of the path by name. */
  readonly path: Readonly<Record<string, string>>
  readonly body: Body
  readonly query: Query
  /** Of the wallet operation: from Idempotency-Key, or a fresh one. */
  readonly operationId: string
  /** Of what was asked: other arguments under the same Idempotency-Key have another. */
  readonly fingerprint: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface Answer {
  readonly status: number
  readonly body: unknown
  /** What a repeat is answered, where that is not the same. */
  readonly repeat?: unknown
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** One row of the table that routing, roles, validation and openapi.json are all made from. */
export interface Route {
  readonly method: Method
  /** Below /admin/v1; `:name` is one part, percent-decoded. */
  readonly path: string
  readonly role: AdminRole
  readonly summary: string
  readonly query: z.ZodType | undefined
  readonly body: z.ZodType | undefined
  readonly bodyBytesMax: number
  /** It has to work with Redis away: an Idempotency-Key of it counts in this process alone. */
  readonly withoutRedis: boolean
  /** The answer's status at the first time, and its form. */
  readonly status: 200 | 201
  readonly answer: z.ZodType
  /** undefined: the handler has answered by itself (a stream). */
  readonly handle: (asked: Asked<unknown, unknown>) => Promise<Answer | undefined>
}

const NO_SCHEMA = undefined

/** Keeps the types of body and query together with the handler's. */
export function route<Body = undefined, Query = undefined>(row: {
  readonly method: Method
  readonly path: string
  readonly role: AdminRole
  readonly summary: string
  readonly query?: z.ZodType<Query>
  readonly body?: z.ZodType<Body>
  readonly bodyBytesMax?: number
  readonly withoutRedis?: true
  readonly status?: 200 | 201
  readonly answer: z.ZodType
  readonly handle: (asked: Asked<Body, Query>) => Promise<Answer | undefined>
}): Route {
  return {
    ...row,
    query: row.query ?? NO_SCHEMA,
    body: row.body ?? NO_SCHEMA,
    bodyBytesMax: row.bodyBytesMax ?? 64 * 1024,
    withoutRedis: row.withoutRedis ?? false,
    status: row.status ?? 200,
    // What comes in was checked by the schemas beside it.
    handle: row.handle as Route['handle'],
  }
}
