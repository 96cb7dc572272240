/** What a request carries to say who calls: a virtual key in any of the headers that the official clients use. */
import type { IncomingMessage } from 'node:http'

export type CredentialProblem = 'missing' | 'signed' | 'two_keys'

export type Credential =
  | { readonly text: string; readonly problem?: undefined }
  | { readonly text?: undefined; readonly problem: CredentialProblem }

/**
 * `signed` is an AWS signature, which cannot carry a virtual key; `two_keys` names two different ones. `more`: keys found
 * elsewhere.
 */
export function findCredential(
  request: IncomingMessage,
  query: string,
  more: readonly (string | undefined)[],
): Credential {
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
  return found === undefined ? { problem: 'missing' } : { text: found }
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
