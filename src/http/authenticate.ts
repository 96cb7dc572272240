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

/** Parameters that carry a credential, also Google's own: with one of those a call would be another's at the upstream. */
const CREDENTIALS = ['key', 'access_token', 'oauth_token']

/** The query without `key=` and the like, however they are escaped: no caller's credential reaches an upstream. "" or "?…". */
export function queryWithoutKey(query: string, ...more: readonly string[]): string {
  if (query === '') return query
  const names = [...CREDENTIALS, ...more]
  const kept = query
    .slice(1)
    .split('&')
    .filter((part) => {
      const parameter = new URLSearchParams(part)
      return !names.some((name) => parameter.has(name))
    })
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}
