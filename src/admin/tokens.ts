import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { AdminRole, AdminToken } from '../config/snapshot.ts'
import { AdminError } from './admin-error.ts'

/** Who asks, as it stands in the ledger. */
export interface Actor {
  readonly name: string
  readonly role: AdminRole
}

const RANKS: Record<AdminRole, number> = { viewer: 0, finance: 1, operator: 2 }

export function mayAct(role: AdminRole, needed: AdminRole): boolean {
  return RANKS[role] >= RANKS[needed]
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** An operator's token for a gateway whose config names none: 256 random bits. */
export function makeToken(): { readonly text: string; readonly token: AdminToken } {
  const text = `tga_${randomBytes(32).toString('base64url')}`
  return { text, token: { name: 'admin', sha256: sha256(text).toString('hex'), role: 'operator' } }
}

/** Answers who the bearer token belongs to. Throws AdminError 401. */
export function authenticate(request: IncomingMessage, tokens: readonly AdminToken[]): Actor {
  const given = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(request.headers.authorization ?? '')?.[1]
  if (given === undefined) {
    throw new AdminError(401, 'unauthorized', 'Send an admin token as "Authorization: Bearer …".')
  }
  const hash = sha256(given)
  let found: AdminToken | undefined
  // All are compared, so that the time taken says nothing about which one was nearly right.
  for (const token of tokens) {
    if (timingSafeEqual(hash, Buffer.from(token.sha256, 'hex'))) found = token
  }
  if (!found) throw new AdminError(401, 'unauthorized', 'This admin token is not known.')
  return found
}
