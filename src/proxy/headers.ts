/** Headers through the gateway as raw arrays [name, value, name, value, …]: no objects on the hot path. */
import type { Upstream } from '../config/snapshot.ts'

/** RFC 9110 7.6.1, and what only makes sense between two neighbours. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Carry a key: a caller's does not reach an upstream, and an upstream that echoes ours does not show it to a caller. */
const CREDENTIALS = new Set(['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'x-amz-security-token'])

/** Of the request: what identifies the caller to us, or was decided here. The upstream's own are added after. */
const NOT_FORWARDED = new Set([
  ...CREDENTIALS,
  'host',
  'cookie',
  'content-length',
  'accept-encoding',
  'expect',
  // Of a signature of the caller's own, and whom Google bills: ours to say.
  'x-amz-date',
  'x-amz-content-sha256',
  'x-goog-user-project',
  'forwarded',
  'via',
  // Google and others take them for the method: what was admitted as one call would be served as another.
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
])

/** Names that the Connection header declares hop-by-hop for this message. */
function connectionNames(raw: readonly (string | Buffer)[]): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i]?.length !== 10 || textOf(raw[i]).toLowerCase() !== 'connection') continue
    for (const name of textOf(raw[i + 1]).split(',')) {
      const trimmed = name.trim().toLowerCase()
      if (trimmed === '' || trimmed === 'close' || trimmed === 'keep-alive') continue
      names ??= new Set()
      names.add(trimmed)
    }
  }
  return names
}

/**
 * The request's headers as the upstream gets them: without the caller's credentials, hop-by-hop names, forwarding
 * claims and `x-tollgate-*`; then the upstream's own credential and configured headers. `acceptEncoding` undefined
 * asks for identity.
 */
export function upstreamRequestHeaders(
  raw: readonly string[],
  upstream: Upstream,
  acceptEncoding: string | undefined,
): string[] {
  const declared = connectionNames(raw)
  const configured = upstream.headers
  const headers: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase()
    if (HOP_BY_HOP.has(name) || NOT_FORWARDED.has(name) || declared?.has(name)) continue
    if (name.startsWith('x-tollgate-') || name.startsWith('x-forwarded-')) continue
    if (Object.hasOwn(configured, name)) continue
    headers.push(raw[i] as string, raw[i + 1] as string)
  }
  headers.push('accept-encoding', acceptEncoding ?? 'identity')
  for (const name of Object.keys(configured)) headers.push(name, configured[name] as string)
  pushCredential(headers, upstream)
  return headers
}

/** The forms of `auth` that are more than a key in a header are added by credentials/upstream-credentials.ts. */
function pushCredential(headers: string[], upstream: Upstream): void {
  if (typeof upstream.auth === 'object' || upstream.auth === 'none' || upstream.apiKey === '') return
  if (upstream.auth === 'bearer') headers.push('authorization', `Bearer ${upstream.apiKey}`)
  else headers.push(upstream.auth, upstream.apiKey)
}

/**
 * The upstream's headers as the caller gets them: end-to-end ones, in order, without any `x-tollgate-*` of its own.
 * `edited` leaves out length and encoding, where the body is edited on its way.
 */
export function callerResponseHeaders(raw: readonly (string | Buffer)[], edited: boolean): string[] {
  const declared = connectionNames(raw)
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const original = textOf(raw[i])
    const name = original.toLowerCase()
    if (HOP_BY_HOP.has(name) || CREDENTIALS.has(name) || declared?.has(name) || name.startsWith('x-tollgate-')) continue
    if (edited && (name === 'content-length' || name === 'content-encoding')) continue
    headers.push(original, textOf(raw[i + 1]))
  }
  return headers
}

function textOf(value: string | Buffer | undefined): string {
  return typeof value === 'string' ? value : (value as Buffer).toString('latin1')
}

/** First value of a header in an upstream's raw list; undefined where absent. `wanted`: in lower case. */
export function rawHeader(raw: readonly Buffer[], wanted: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as Buffer
    if (name.length === wanted.length && name.toString('latin1').toLowerCase() === wanted) {
      return (raw[i + 1] as Buffer).toString('latin1')
    }
  }
  return undefined
}
