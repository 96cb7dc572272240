/**
 * Where a client sends a file's bytes: Google answers the start of an upload with an address of its own host, which a
 * client takes as it is. It is rewritten to the same path here, so that the file gets its owner when it is whole.
 * Source: ai.google.dev/api/files, "Resumable upload"; @google/genai src/cross/_cross_uploader.ts.
 */
import type { IncomingMessage } from 'node:http'
import type { Upstream } from '../config/snapshot.ts'

const NAMES = new Set(['x-goog-upload-url', 'x-goog-upload-control-url'])

/** How the caller reached us, as its next request must. */
export interface CallerAddress {
  /** http://host:port, with `/u/NAME` where the caller named the upstream. */
  readonly base: string
  /** Its key, where it came in a header of Google's or in the query: not every client sends it again. */
  readonly key: string | undefined
}

/** Undefined: the request has no host that could be written into an address. */
export function callerAddress(request: IncomingMessage): CallerAddress | undefined {
  const { host, 'x-forwarded-proto': forwarded, 'x-goog-api-key': header } = request.headers
  if (host === undefined) return undefined
  const target = request.url ?? '/'
  const named = /^\/u\/[^/?]+(?=\/)/.exec(target)?.[0] ?? ''
  const scheme = forwarded === 'https' ? 'https' : 'http'
  const mark = target.indexOf('?')
  const inQuery = mark < 0 ? null : new URLSearchParams(target.slice(mark)).get('key')
  return {
    base: `${scheme}://${host}${named}`,
    key: (typeof header === 'string' ? header : undefined) ?? inQuery ?? undefined,
  }
}

/** Edits [name, value, …] in place. An address of another host stays: nothing here would answer for it. */
export function rewriteUploadAddress(headers: string[], caller: CallerAddress, upstream: Upstream): void {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (NAMES.has((headers[i] as string).toLowerCase()))
      headers[i + 1] = addressHere(headers[i + 1] as string, caller, upstream)
  }
}

function addressHere(address: string, caller: CallerAddress, { baseUrl }: Upstream): string {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.origin !== baseUrl.origin) return address
  const prefix = baseUrl.pathname.replace(/\/+$/, '')
  const path = url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : url.pathname
  if (caller.key !== undefined) url.searchParams.set('key', caller.key)
  return `${caller.base}${path}${url.search}`
}
