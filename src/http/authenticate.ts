/** Who calls: a virtual key in any of the headers that the official clients use, found by its SHA-256. */
import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { VirtualKey } from '../config/snapshot.ts'

export type Authenticated =
  | { readonly key: VirtualKey }
  | { readonly problem: 'missing' | 'unknown' | 'signed' | 'two_keys' | 'acts_for' }

/**
 * Looked up by digest: the key itself goes nowhere but into the hash. `missing` and `unknown` are 401 both; `signed` is
 * an AWS signature, which cannot carry a virtual key; `two_keys` names two different ones. `more`: keys found elsewhere.
 */
export function authenticate(
  request: IncomingMessage,
  query: string,
  keys: ReadonlyMap<string, VirtualKey>,
  more: readonly (string | undefined)[] = [],
): Authenticated {
  const headers = request.headers
  const authorization = headers.authorization
  if (authorization?.startsWith('AWS4-')) return { problem: 'signed' }
  let found: string | undefined
  for (const candidate of [
    bearer(authorization),
    headers['x-api-key'],
    headers['api-key'],
    headers['x-goog-api-key'],
    ...(query === '' ? [] : new URLSearchParams(query).getAll('key')),
    ...more,
  ]) {
    if (typeof candidate !== 'string' || candidate === '') continue
    if (found !== undefined && found !== candidate) return { problem: 'two_keys' }
    found = candidate
  }
  if (found === undefined) return { problem: 'missing' }
  const key = keys.get(hash('sha256', found, 'hex'))
  if (key === undefined) return { problem: 'unknown' }
  if (headers['x-tollgate-account'] !== undefined) return { problem: 'acts_for' }
  return { key }
}

function bearer(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}

/** The query without `key=`, however it is escaped: the caller's credential does not reach an upstream. "" or "?…". */
export function queryWithoutKey(query: string, name = 'key'): string {
  if (query === '') return query
  const kept = query
    .slice(1)
    .split('&')
    .filter((part) => !new URLSearchParams(part).has(name))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}
