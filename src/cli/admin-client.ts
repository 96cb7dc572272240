/** The admin API as commands use it. Errors are CliError with a line that says what to do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { newId } from '../core/ids.ts'
import { CliError } from './cli-error.ts'

export interface AdminAddress {
  readonly url: string
  readonly token: string | undefined
}

export const DEFAULT_ADMIN_URL = 'http://127.0.0.1:9090'

// Redis away for a moment, a gateway being restarted: the same Idempotency-Key makes asking again free.
const POST_ATTEMPTS = 3

// Longer than the gateway takes for any call.
const ANSWER_MS = 30_000

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

interface ErrorBody {
  readonly error?: {
    readonly code?: string
    readonly message?: string
    readonly fields?: readonly { readonly message: string }[]
  }
}

export class AdminClient {
  readonly #base: string
  readonly #token: string | undefined

  constructor(address: AdminAddress) {
    if (!URL.canParse(address.url) || !/^https?:/.test(address.url)) {
      throw new CliError(`"${address.url}" is no URL of an admin API; write it like ${DEFAULT_ADMIN_URL}`, 2)
    }
    const { username, password } = new URL(address.url)
    if (username !== '' || password !== '') {
      throw new CliError('the URL of the admin API has no user and password: the token is TOLLGATE_ADMIN_TOKEN', 2)
    }
    if (address.token !== undefined && !/^[\x21-\x7e]{1,512}$/.test(address.token)) {
      throw new CliError('TOLLGATE_ADMIN_TOKEN is no token: it has a space, a line break or another odd character', 2)
    }
    this.#base = `${address.url.replace(/\/+$/, '')}/admin/v1/`
    this.#token = address.token
  }

  async get<Answer>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>> = {},
    answerMs = ANSWER_MS,
  ): Promise<Answer> {
    const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
    const search = given.length > 0 ? `?${new URLSearchParams(given)}` : ''
    return (await this.#answer(await this.#send('GET', path + search, AbortSignal.timeout(answerMs)))).body as Answer
  }

  /** `repeated`: it had been done before under the same key (200 where the first answer is 201). */
  async post<Answer>(
    path: string,
    body: object,
    answerMs = ANSWER_MS,
  ): Promise<{ readonly body: Answer; readonly status: number }> {
    const key = `cli-${newId(Date.now())}`
    for (let attempt = 1; ; attempt++) {
      try {
        const signal = AbortSignal.timeout(answerMs)
        const response = await this.#send('POST', path, signal, { 'idempotency-key': key }, JSON.stringify(body))
        if (response.status !== 503 || attempt === POST_ATTEMPTS) {
          const answer = await this.#answer(response)
          return { body: answer.body as Answer, status: answer.status }
        }
        await response.body?.cancel()
      } catch (error) {
        if (!(error instanceof Unreachable) || !error.worthAsking || attempt === POST_ATTEMPTS) throw error
      }
      await sleep(500 * attempt)
    }
  }

  async patch<Answer>(path: string, body: object): Promise<Answer> {
    const signal = AbortSignal.timeout(ANSWER_MS)
    return (await this.#answer(await this.#send('PATCH', path, signal, {}, JSON.stringify(body)))).body as Answer
  }

  async delete<Answer>(path: string): Promise<Answer> {
    return (await this.#answer(await this.#send('DELETE', path, AbortSignal.timeout(ANSWER_MS)))).body as Answer
  }

  /** All pages of a list, one after the other. */
  async *pages<Item>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>> = {},
    answerMs = ANSWER_MS,
  ): AsyncGenerator<readonly Item[]> {
    let after: string | undefined
    do {
      const page: { readonly items: readonly Item[]; readonly next: string | null } = await this.get(
        path,
        { limit: 1000, ...query, ...(after === undefined ? {} : { after }) },
        answerMs,
      )
      yield page.items
      after = page.next ?? undefined
    } while (after !== undefined)
  }

  /** The stream of a ledger that is followed. */
  async follow(path: string, lastEventId: number | undefined): Promise<AsyncIterable<Uint8Array>> {
    const headers = {
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }),
    }
    const response = await this.#send('GET', path, undefined, headers)
    if (!response.ok || !response.body) throw await this.#refusal(response)
    return response.body
  }

  async #send(
    method: string,
    path: string,
    signal: AbortSignal | undefined,
    headers: Record<string, string> = {},
    body?: string,
  ): Promise<Response> {
    try {
      return await fetch(this.#base + path, {
        method,
        redirect: 'error',
        ...(signal === undefined ? {} : { signal }),
        headers: {
          ...headers,
          ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body }),
      })
    } catch (error) {
      throw new Unreachable(new URL(this.#base).origin, error)
    }
  }

  async #answer(response: Response): Promise<{ readonly body: unknown; readonly status: number }> {
    if (!response.ok) throw await this.#refusal(response)
    try {
      return { body: await response.json(), status: response.status }
    } catch (error) {
      if (isTimeout(error)) throw new Unreachable(new URL(this.#base).origin, error)
      throw new CliError(
        `${new URL(this.#base).origin} does not answer like an admin API; is it the gateway's other port?`,
      )
    }
  }

  async #refusal(response: Response): Promise<CliError> {
    const { error } = (await response.json().catch(() => ({}))) as ErrorBody
    if (response.status === 401) {
      const hint = this.#token === undefined ? 'set TOLLGATE_ADMIN_TOKEN' : 'TOLLGATE_ADMIN_TOKEN is not known to it'
      return new CliError(`the admin API wants a token: ${hint}`)
    }
    if (error?.code === undefined) return new CliError(`the admin API answered ${response.status}`)
    return new CliError(`${error.code}: ${error.message ?? ''}`)
  }
}

export class Unreachable extends CliError {
  /** It may answer next time: neither does nothing listen there, nor did it take the whole time and stay silent. */
  readonly worthAsking: boolean
  constructor(origin: string, error: unknown) {
    const cause = error instanceof Error ? (error.cause as Error | undefined) : undefined
    const silent = isTimeout(error) ? `no answer in ${ANSWER_MS / 1000} s` : undefined
    const detail = silent ?? (cause as { code?: string } | undefined)?.code ?? cause?.message ?? String(error)
    super(
      `cannot reach the admin API at ${origin} (${detail}): is the gateway running? --admin or TOLLGATE_ADMIN_URL says where`,
    )
    this.name = 'Unreachable'
    this.worthAsking = detail !== 'ECONNREFUSED' && silent === undefined
  }
}

/** One part of a path: ids may have slashes and colons. */
export function part(id: string): string {
  return encodeURIComponent(id)
}
