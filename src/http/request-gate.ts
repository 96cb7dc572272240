/**
 * What `node:http` lets in and a gateway must not: one reading of a request for us and another for the upstream is a
 * bypass. Everything here is refused 400 with the connection closed.
 */
import type { IncomingMessage } from 'node:http'

/** Of these, a second one makes it a question which counts. */
const SINGLE = new Set([
  'host',
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'anthropic-version',
  'x-tollgate-run',
  'x-tollgate-user',
  'x-tollgate-tags',
  'x-tollgate-account',
  'x-tollgate-dry-run',
  'x-tollgate-cost',
])

const TARGET = /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?[\]-]*)?$/
// An escaped slash, backslash, NUL or percent sign means one path here and another at the upstream.
const AMBIGUOUS_ESCAPE = /%(?:2f|5c|00|25)/i
/**
 * The one escaped slash that must be let in: AWS's SDKs write an ARN as a single segment (`…inference-profile%2Fus.x…`).
 * Its parts are names, never `.` or `..`, and the operation stands behind it, so that either reading is the same call.
 */
const ARN_SEGMENT =
  /\/model\/arn(?:(?::|%3a)[A-Za-z0-9-]*){4}(?::|%3a)[a-z-]+(?:%2f[A-Za-z0-9](?:[A-Za-z0-9._:-]|%3a)*)+(?=\/[a-z-]+$)/i
// Letters, digits and -._~ never need an escape: "/v1/file%73" would be another path for our rules than for the upstream.
const NEEDLESS_ESCAPE = /%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/i
const UPSTREAM_ROOT = /^\/u\/[^/.][^/]*\/$/
const BROKEN_ESCAPE = /%(?![0-9a-f]{2})/i
const METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])

/** What is wrong with the request's line or headers, as a sentence; undefined where nothing is. */
export function requestProblem(
  request: IncomingMessage,
  limits: { readonly pathBytes: number; readonly headerCount: number },
): string | undefined {
  const { method, url, httpVersion } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return `HTTP version ${httpVersion} is not supported; use HTTP/1.1.`
  if (!METHODS.has(method ?? '')) return 'This HTTP method is not supported.'
  return targetProblem(url ?? '', limits.pathBytes) ?? headersProblem(request, limits.headerCount)
}

function targetProblem(target: string, pathBytes: number): string | undefined {
  if (target.length > pathBytes) return `The path is longer than ${pathBytes} bytes.`
  if (!TARGET.test(target)) return 'The path has characters that must be percent-encoded, or is not a path.'
  if (BROKEN_ESCAPE.test(target)) return 'The path has a percent sign that no two hex digits follow.'
  const end = target.indexOf('?')
  const path = end < 0 ? target : target.slice(0, end)
  if (AMBIGUOUS_ESCAPE.test(path) && AMBIGUOUS_ESCAPE.test(path.replace(ARN_SEGMENT, '')))
    return 'The path has an escaped slash, backslash, percent sign or NUL.'
  if (NEEDLESS_ESCAPE.test(path)) return 'The path has an escaped letter, digit or one of -._~; write it plainly.'
  // The root of an upstream is a path of its own: a server of one model has no other.
  if (path === '/' || UPSTREAM_ROOT.test(path)) return undefined
  for (const segment of path.slice(1).split('/')) {
    if (segment === '.' || segment === '..') return 'The path has a "." or ".." segment.'
    if (segment === '') return 'The path has an empty segment.'
  }
  return undefined
}

function headersProblem(request: IncomingMessage, headerCount: number): string | undefined {
  const raw = request.rawHeaders
  if (raw.length / 2 > headerCount) return `The request has more than ${headerCount} headers.`
  let seen: Set<string> | undefined
  let hosts = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase()
    if (name === 'host') hosts++
    if (!SINGLE.has(name)) continue
    seen ??= new Set()
    if (seen.has(name)) return `The header ${name} is there twice.`
    seen.add(name)
    if (name === 'transfer-encoding') {
      if (request.httpVersion === '1.0') return 'Transfer-Encoding needs HTTP/1.1.'
      if ((raw[i + 1] as string).toLowerCase() !== 'chunked')
        return 'Transfer-Encoding other than "chunked" is not supported.'
    }
  }
  if (hosts !== 1 && request.httpVersion === '1.1') return 'The request needs exactly one Host header.'
  if (seen?.has('transfer-encoding') && seen.has('content-length'))
    return 'The request has both Transfer-Encoding and Content-Length.'
  return undefined
}
