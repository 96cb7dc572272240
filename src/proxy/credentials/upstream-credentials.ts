/**
 * Our own credential for each upstream, in the forms that are more than a header of the config: a signature of each
 * request, a token of Google's, a token that a program prints. `headers.ts` writes the plain ones.
 */
import type { Upstream, UpstreamAuth } from '../../config/snapshot.ts'
import type { Log } from '../../log.ts'
import { type AwsKeys, chainedAwsKeys, readAwsKeys } from './aws-keys.ts'
import { runTokenCommand, stopTokenCommands } from './command-token.ts'
import { googleTokens } from './google-token.ts'
import { type Fetched, Refreshing } from './refreshing.ts'
import type { OutgoingRequest, SigningScope } from './sign-request.ts'

/** No credential could be had, so nothing was sent. The message is for the caller: it names the upstream and no secret. */
export class NoCredential extends Error {
  constructor(upstream: Upstream) {
    super(
      `No credential for the upstream "${upstream.name}" could be had (auth: ${formOf(upstream.auth)}); nothing was sent or charged. Its operator finds the reason in the gateway's log. Try again.`,
    )
    this.name = 'NoCredential'
  }
}

interface Source {
  /** Adds to the request's headers; undefined: done. Rejects with NoCredential. */
  authorize(request: OutgoingRequest): Promise<void> | undefined
  /** The upstream did not take what was added last. */
  refused(): void
}

const FETCH_TIMEOUT_MS = 15_000
const COMMAND_TIMEOUT_MS = 30_000
/** A message of a library may quote what it read: words as long as a token are left out of the log. */
const LONG_WORD = /[A-Za-z0-9+=_~-]{20,}/g
const CAUSE_LENGTH_MAX = 300

export class UpstreamCredentials {
  readonly #sources = new Map<string, Source>()

  constructor(upstreams: readonly Upstream[], options: { readonly log: Log; readonly now: () => number }) {
    for (const upstream of upstreams) {
      const source = createSource(upstream, options.log, options.now)
      if (source) this.#sources.set(upstream.name, source)
    }
  }

  /**
   * Adds our credential to a request whose headers were made by `upstreamRequestHeaders` (which has written it already
   * where it is a plain key). Undefined: done at once, as it is wherever a valid token is there. Else settles when it is
   * done; rejects with NoCredential. Nothing of the request may be changed afterwards.
   */
  authorize(upstream: Upstream, request: OutgoingRequest): Promise<void> | undefined {
    return this.#sources.get(upstream.name)?.authorize(request)
  }

  /** A signature covers the body: it has to be there whole before anything is sent. */
  needsBody(upstream: Upstream): boolean {
    return typeof upstream.auth === 'object' && 'sigv4' in upstream.auth
  }

  /** The upstream answered 401 or 403: a token that was taken back early is fetched anew. */
  refused(upstream: Upstream): void {
    this.#sources.get(upstream.name)?.refused()
  }

  close(): void {
    stopTokenCommands()
  }
}

function createSource(upstream: Upstream, log: Log, now: () => number): Source | undefined {
  const { auth, apiKey } = upstream
  if (typeof auth !== 'object') return undefined
  const refreshing = <Value>(fetch: () => Promise<Fetched<Value>>, timeoutMs: number): Refreshing<Value> =>
    new Refreshing({
      fetch,
      timeoutMs,
      now,
      onFailure: (error, kept) =>
        log.error(
          { upstream: upstream.name, auth: formOf(auth), cause: describeCause(error), kept },
          kept
            ? 'a credential could not be fetched anew; the last one is used on'
            : 'no credential could be had; calls to this upstream are answered 502',
        ),
    })
  if ('sigv4' in auth) {
    const fixed = readAwsKeys(apiKey)
    const keys = fixed ?? refreshing(chainedAwsKeys(now), FETCH_TIMEOUT_MS)
    return new SignatureSource(upstream, auth.sigv4, keys, now)
  }
  const tokens =
    'gcp' in auth
      ? refreshing(googleTokens(now), FETCH_TIMEOUT_MS)
      : refreshing(commandTokens(auth.command, auth.refreshMs, now), COMMAND_TIMEOUT_MS + 1_000)
  return new TokenSource(upstream, tokens)
}

function commandTokens(
  command: readonly string[],
  refreshMs: number,
  now: () => number,
): () => Promise<Fetched<readonly string[]>> {
  return async () => {
    const token = await runTokenCommand(command, COMMAND_TIMEOUT_MS)
    return {
      value: ['authorization', `Bearer ${token}`],
      refreshAtMs: now() + refreshMs,
      // How long it lives is not known: it serves until the program prints another.
      expiresAtMs: Number.POSITIVE_INFINITY,
    }
  }
}

/** Headers that are the same for every request. */
class TokenSource implements Source {
  readonly #upstream: Upstream
  readonly #tokens: Refreshing<readonly string[]>

  constructor(upstream: Upstream, tokens: Refreshing<readonly string[]>) {
    this.#upstream = upstream
    this.#tokens = tokens
  }

  authorize(request: OutgoingRequest): Promise<void> | undefined {
    const headers = this.#tokens.get()
    if (headers instanceof Promise) return this.#await(headers, request)
    request.headers.push(...headers)
    return undefined
  }

  refused(): void {
    this.#tokens.refused()
  }

  async #await(pending: Promise<readonly string[]>, request: OutgoingRequest): Promise<void> {
    const headers = await pending.catch(() => {
      throw new NoCredential(this.#upstream)
    })
    request.headers.push(...headers)
  }
}

class SignatureSource implements Source {
  readonly #upstream: Upstream
  readonly #scope: SigningScope
  readonly #keys: AwsKeys | Refreshing<AwsKeys>
  readonly #now: () => number
  /** Loaded with the first upstream that needs it. */
  readonly #signing = import('./sign-request.ts')

  constructor(upstream: Upstream, scope: SigningScope, keys: AwsKeys | Refreshing<AwsKeys>, now: () => number) {
    this.#upstream = upstream
    this.#scope = scope
    this.#keys = keys
    this.#now = now
  }

  async authorize(request: OutgoingRequest): Promise<void> {
    let keys: AwsKeys
    try {
      keys = this.#keys instanceof Refreshing ? await this.#keys.get() : this.#keys
    } catch {
      throw new NoCredential(this.#upstream)
    }
    const { signRequest } = await this.#signing
    await signRequest(request, this.#upstream.baseUrl, this.#scope, keys, this.#now())
  }

  refused(): void {
    if (this.#keys instanceof Refreshing) this.#keys.refused()
  }
}

function formOf(auth: UpstreamAuth): string {
  return typeof auth === 'string' ? auth : (Object.keys(auth)[0] as string)
}

function describeCause(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown'
  return (text.split('\n', 1)[0] as string).replaceAll(LONG_WORD, '…').slice(0, CAUSE_LENGTH_MAX)
}
