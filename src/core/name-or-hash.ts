import { createHash } from 'node:crypto'

/** What names of accounts, keys, runs, users and labels look like. */
export const NAME = /^[A-Za-z0-9._:@/+-]{1,128}$/

/** A value that is no name is kept as its hash: it stays one counter, and no hostile text enters a key or a label. */
export function nameOrHash(value: string): string {
  return NAME.test(value) ? value : `sha256:${createHash('sha256').update(value).digest('hex').slice(0, 32)}`
}
