import { createHash } from 'node:crypto'
import type { EntitlementsFile } from './entitlements-schema.ts'
import type { Receiver } from './snapshot.ts'

export function buildWebhooks(read: EntitlementsFile): readonly Receiver[] {
  return read.webhooks.map(({ url, secret: secrets, events, accounts }) => {
    // A list of one is what it is without the list.
    const secret = secrets.length === 1 ? secrets[0] : secrets
    const fingerprint = shortHash(JSON.stringify({ url, secret, events, accounts }))
    return Object.freeze({ id: shortHash(url), fingerprint, url, secrets, events, accounts })
  })
}

/** The secrets in it have 24 random bytes at least: nobody finds them from this. */
function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
