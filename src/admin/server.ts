/**
 * The admin port: the API below /admin/v1 behind a token, and /healthz, /readyz, /metrics without one. Default deny:
 * a call runs only through a row of the route table, whose role the token must have.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { z } from 'zod'
import { UnreadableRecord } from '../accounts/account-store.ts'
import { isLoopback } from '../config/loopback.ts'
import type { AdminToken } from '../config/snapshot.ts'
import { METRICS_CONTENT_TYPE } from '../metrics/merge-metrics.ts'
import { EntriesMissing, WalletUnavailable } from '../wallet/wallet-types.ts'
import { AdminError, type WrongField } from './admin-error.ts'
import { FirstAnswers, fingerprintOf, idempotencyKey, operationIdOf } from './first-answers.ts'
import { readJsonBody } from './read-json-body.ts'
import type { Claim } from './request-claims.ts'
import type { AdminDependencies, Answer, Route } from './route.ts'
import { findRoute } from './routes.ts'
import { authenticate, makeToken, mayAct } from './tokens.ts'

const PREFIX = '/admin/v1'

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

export interface AdminServer {
  /** Not listening yet. */
  readonly server: Server
  /** Made here because the config names no token; to be printed once. undefined where it names some. */
  readonly adminToken: string | undefined
}

export function createAdminServer(admin: AdminDependencies): AdminServer {
  const { host, tokens } = admin.store.current().settings.admin
  const made = tokens.length === 0 ? makeToken() : undefined
  const handler = new AdminHandler(admin, made ? [made.token] : tokens, isLoopback(host))
  const server = createServer(
    { maxHeaderSize: 16 * 1024, requestTimeout: 30_000, headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
    (request, response) => void handler.handle(request, response),
  )
  server.maxConnections = 1_000
  return { server, adminToken: made?.text }
}

/** A web page that the operator visits can send requests to loopback under a name of its own: the name gives it away. */
function isLoopbackName(header: string | undefined): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(header ?? '')
}

class AdminHandler {
  readonly #admin: AdminDependencies
  readonly #tokens: readonly AdminToken[]
  readonly #loopback: boolean
  readonly #first = new FirstAnswers()

  constructor(admin: AdminDependencies, tokens: readonly AdminToken[], loopback: boolean) {
    this.#admin = admin
    this.#tokens = tokens
    this.#loopback = loopback
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    try {
      const answer = await this.#answer(request, response)
      if (answer) send(response, answer)
    } catch (thrown) {
      this.#refuse(response, thrown)
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> {
    const url = URL.parse(request.url ?? '', 'http://admin')
    if (!url) throw new AdminError(400, 'invalid_request', 'The request target is no path.')
    if (request.method === 'GET' || request.method === 'HEAD') {
      const open = await this.#openAnswer(url.pathname, response)
      if (open !== undefined) return open === 'sent' ? undefined : open
    }
    if (this.#loopback && !isLoopbackName(request.headers.host)) {
      throw new AdminError(403, 'forbidden', 'Use 127.0.0.1 or localhost as the host name.')
    }
    if (!url.pathname.startsWith(`${PREFIX}/`)) throw new AdminError(404, 'unknown_route', 'There is nothing here.')
    return this.#call(request, response, url)
  }

  /** What needs no token: probes and scrapers have none. */
  async #openAnswer(path: string, response: ServerResponse): Promise<Answer | 'sent' | undefined> {
    if (path === '/healthz') return { status: 200, body: { status: 'alive' } }
    if (path === '/readyz') {
      const readiness = await this.#admin.ready()
      return { status: readiness.ready ? 200 : 503, body: readiness }
    }
    if (path !== '/metrics') return undefined
    const text = await this.#admin.metrics()
    response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE })
    response.end(text)
    return 'sent'
  }

  async #call(request: IncomingMessage, response: ServerResponse, url: URL): Promise<Answer | undefined> {
    const actor = authenticate(request, this.#tokens)
    const path = url.pathname.slice(PREFIX.length)
    const { found, methods } = findRoute(request.method ?? '', path)
    if (!found) {
      if (methods.length === 0) throw new AdminError(404, 'unknown_route', 'There is no such call.')
      response.setHeader('allow', methods.join(', '))
      throw new AdminError(405, 'unknown_route', `This path takes ${methods.join(', ')}.`)
    }
    const { row } = found
    if (!mayAct(actor.role, row.role)) {
      throw new AdminError(
        403,
        'forbidden',
        `This needs the role ${row.role}; the token "${actor.name}" has ${actor.role}.`,
      )
    }
    const query = parse(row.query ?? NO_QUERY, readQuery(url))
    const body = row.body ? parse(row.body, await readJsonBody(request, row.bodyBytesMax)) : undefined
    const nowMs = (this.#admin.nowMs ?? Date.now)()
    const key = row.method === 'POST' ? idempotencyKey(request.headers['idempotency-key']) : undefined
    const fingerprint = fingerprintOf(row.method, path, body)
    const repeat = this.#first.find(key, fingerprint)
    if (repeat) return repeat
    const claimed = key === undefined || row.withoutRedis ? undefined : await this.#claim(key, row, found.path)
    const operationId = operationIdOf(key, nowMs)
    const parts = { path: found.path, body, query, operationId, fingerprint }
    const asked = { admin: this.#admin, nowMs, actor, ...parts, request, response }
    const answer = await row.handle(asked).catch(async (thrown: unknown) => {
      // Refused, so that nothing was done under this key: it may be sent again, with other arguments too.
      if (claimed === 'made' && thrown instanceof AdminError)
        await this.#admin.claims.release(key as string).catch(() => {})
      throw thrown
    })
    this.#log(row, actor.name, found.path, answer)
    if (answer) this.#first.keep(key, fingerprint, answer.repeat ?? answer.body)
    return answer
  }

  /** Throws 409 where another call was made under this key, on whichever gateway. */
  async #claim(key: string, row: Route, path: Readonly<Record<string, string>>): Promise<Claim> {
    const claim = await this.#admin.claims.claim(key, JSON.stringify([row.method, row.path, path]))
    if (claim === 'taken')
      throw new AdminError(409, 'conflict', 'This Idempotency-Key was used before with another call.')
    return claim
  }

  #log(row: Route, actor: string, path: Readonly<Record<string, string>>, answer: Answer | undefined): void {
    if (row.method !== 'GET')
      this.#admin.log.info({ actor, call: row.path, ...path, status: answer?.status }, 'admin call')
  }

  #refuse(response: ServerResponse, thrown: unknown): void {
    let error: AdminError
    if (thrown instanceof AdminError) error = thrown
    else if (thrown instanceof WalletUnavailable) {
      error = new AdminError(
        503,
        'wallet_unavailable',
        'Redis does not answer; try again with the same Idempotency-Key.',
      )
    } else if (thrown instanceof UnreadableRecord) {
      error = new AdminError(409, 'conflict', thrown.message)
    } else if (thrown instanceof EntriesMissing) {
      error = new AdminError(404, 'unknown_entries', thrown.message)
    } else {
      this.#admin.log.error({ error: thrown }, 'an admin call failed')
      error = new AdminError(500, 'internal', 'Something went wrong in the gateway; its log says what.')
    }
    if (response.headersSent) return void response.destroy()
    if (error.status === 401) response.setHeader('www-authenticate', 'Bearer')
    if (error.status === 503) response.setHeader('retry-after', '1')
    // The rest of a body that was not read would be taken for the next request.
    if (error.status === 413) response.setHeader('connection', 'close')
    const { code, message, fields } = error
    send(response, { status: error.status, body: { error: { code, message, fields } } })
  }
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(`${JSON.stringify(answer.body)}\n`)
}

const NO_QUERY = z.strictObject({})

/** Each name once: of two values one would be silently dropped. */
function readQuery(url: URL): Readonly<Record<string, string>> {
  const query: Record<string, string> = Object.create(null)
  for (const [name, value] of url.searchParams) {
    if (name in query)
      throw new AdminError(422, 'invalid', `"${name}" is given twice.`, [{ field: name, message: 'given twice' }])
    query[name] = value
  }
  return { ...query }
}

/** Throws 422 that names every wrong field. */
function parse(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const fields = result.error.issues.flatMap(wrongFields)
  throw new AdminError(422, 'invalid', fields.map((wrong) => `${wrong.field}: ${wrong.message}`).join('; '), fields)
}

function wrongFields(issue: z.core.$ZodIssue): readonly WrongField[] {
  const at = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ field: at === '' ? key : `${at}.${key}`, message: 'is no field of this call' }))
  }
  const isMissing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined')
  return [{ field: at === '' ? 'body' : at, message: isMissing ? 'is missing' : issue.message }]
}
