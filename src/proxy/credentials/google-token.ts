/** A bearer token by Google's application default credentials: a file, a workload identity, the metadata server. */
import type { GoogleAuth } from 'google-auth-library'
import type { Fetched } from './refreshing.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
/** The library makes a new token from so long before the old one's end, and not sooner. */
const AHEAD_MS = 5 * 60_000
/** The metadata server hands out the same token until shortly before its end. */
const AGAIN_MS = 15_000
/** Where the library does not say: Google's tokens live for an hour. */
const LIFETIME_MS = 30 * 60_000

/** [name, value, …]: `authorization`, and `x-goog-user-project` where the credentials name a project to be billed. */
export function googleTokens(now: () => number): () => Promise<Fetched<readonly string[]>> {
  let auth: GoogleAuth | undefined
  return async () => {
    auth ??= await loadAuth()
    const client = await auth.getClient()
    const headers: string[] = []
    for (const [name, value] of await client.getRequestHeaders()) headers.push(name, value)
    if (!headers.includes('authorization')) throw new Error('the credentials give no bearer token')
    const nowMs = now()
    const expiresAtMs = client.credentials.expiry_date ?? nowMs + LIFETIME_MS
    return { value: headers, refreshAtMs: Math.max(expiresAtMs - AHEAD_MS, nowMs + AGAIN_MS), expiresAtMs }
  }
}

/** Loaded where it is used: it costs 70 ms and 20 MB. */
async function loadAuth(): Promise<GoogleAuth> {
  const { GoogleAuth } = await import('google-auth-library')
  return new GoogleAuth({ scopes: SCOPE, clientOptions: { eagerRefreshThresholdMillis: AHEAD_MS } })
}
