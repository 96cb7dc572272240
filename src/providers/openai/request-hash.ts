import { createHash } from 'node:crypto'

/** Characters of one hash: the ids of many requests are kept as one text of them. */
export const REQUEST_HASH_LENGTH = 11

/** A short name for a caller's id of a request, whatever its length: 66 bits. */
export function requestHash(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, REQUEST_HASH_LENGTH)
}
