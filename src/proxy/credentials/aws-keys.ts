/** Keys for AWS signatures: those of the config, or the ones that AWS's default provider chain finds. */
import type { defaultProvider } from '@aws-sdk/credential-provider-node'
import type { Fetched } from './refreshing.ts'

export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** Temporary keys are fetched anew from so long before their end. */
const AHEAD_MS = 5 * 60_000
const AGAIN_MS = 15_000
/** Keys without an end stand in a file or the environment: a rotated file is noticed so soon. */
const LOOK_AGAIN_MS = 5 * 60_000

/** `ACCESS_KEY_ID:SECRET_ACCESS_KEY` or `…:SESSION_TOKEN`, none of which has a colon. undefined: another form. */
export function readAwsKeys(text: string): AwsKeys | undefined {
  const match = /^([^:\s]+):([^:\s]+)(?::([^:\s]+))?$/.exec(text)
  if (!match) return undefined
  const [, accessKeyId = '', secretAccessKey = '', sessionToken] = match
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}

/** Environment, SSO, shared files, a process, web identity, container and instance metadata, in AWS's own order. */
export function chainedAwsKeys(now: () => number): () => Promise<Fetched<AwsKeys>> {
  let provider: ReturnType<typeof defaultProvider> | undefined
  return async () => {
    // Loaded where it is used: it costs 60 ms and 15 MB.
    provider ??= (await import('@aws-sdk/credential-provider-node')).defaultProvider()
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = await provider({ forceRefresh: true })
    const nowMs = now()
    const expiresAtMs = expiration?.getTime() ?? Number.POSITIVE_INFINITY
    return {
      value: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
      refreshAtMs:
        expiration === undefined ? nowMs + LOOK_AGAIN_MS : Math.max(expiresAtMs - AHEAD_MS, nowMs + AGAIN_MS),
      expiresAtMs,
    }
  }
}
