/**
 * Which file of Google's Files API an address names: `https://generativelanguage.googleapis.com/v1beta/files/abc`, or
 * `files/abc`. Any other address (a page, a film, a bucket) names no object of an account.
 * Source: ai.google.dev/api/files, File.uri.
 */
import { isPlainId } from './object-id.ts'
import { InvalidCall } from './provider.ts'

const API_HOST = /(^|\.)googleapis\.com\.?$/
/** Public objects of Cloud Storage have addresses of the web. */
const STORAGE_HOST = /(^|\.)storage\.googleapis\.com\.?$/

/** Throws InvalidCall for an address at the API that could be read as a file's in another way than as it stands. */
export function googleFileId(uri: string): string | undefined {
  const name = uri.trim()
  if (!URL.canParse(name)) return name.includes('files/') ? plainId(name.replace(/^\/?files\//, ''), uri) : undefined
  const url = new URL(name)
  if (!/^https?:$/.test(url.protocol) || !API_HOST.test(url.hostname) || STORAGE_HOST.test(url.hostname))
    return undefined
  const id = /^\/v[a-z0-9]+\/files\/([^/]+)$/.exec(url.pathname)?.[1]
  return plainId(url.search === '' && url.hash === '' ? id : undefined, uri)
}

function plainId(id: string | undefined, uri: string): string {
  if (isPlainId(id) && !id.includes(':')) return id
  throw new InvalidCall(
    `"${uri.slice(0, 200)}" is no address of a file; send the "uri" as the Files API gave it.`,
    'fileUri',
  )
}
