import { createHash } from 'node:crypto'
import type { EntitlementsFile } from './entitlements-schema.ts'
import type { Receiver } from './snapshot.ts'

export function buildWebhooks(read: EntitlementsFile): readonly Receiver[] {
  return read.webhooks.map((fields) =>
    Object.freeze({ id: shortHash(fields.url), fingerprint: shortHash(JSON.stringify(fields)), ...fields }),
  )
}

/** The secret in it has 24 random bytes at least: nobody finds it from this. */
function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
