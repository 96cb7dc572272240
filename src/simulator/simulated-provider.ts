import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Call, isObject, type JsonObject, type Reply } from './call.ts'
import {
  applyControls,
  type Controls,
  defaultControls,
  takeFromModel,
  takeFromText,
  UnknownControl,
} from './controls.ts'
import { deliver } from './deliver.ts'
import { DIALECTS, type Dialect, dialectOf } from './dialect.ts'
import { isUpload, parseUpload } from './google-objects.ts'
import { lastUserText } from './openai-chat.ts'
import { responseUserText } from './openai-responses.ts'
import { ProviderError, simulatedError } from './provider-errors.ts'
import { hashText, idTail } from './random.ts'
import { isForm, readForm } from './read-form.ts'
import { maskHeaders, RequestLog } from './request-log.ts'
import { findRoute, type Route } from './routes.ts'
import { StoredResponses } from './stored-responses.ts'

export interface ProviderOptions {
  /** Fixes texts, token counts and, call by call, ids. Default 1. */
  readonly seed?: number
  /** Controls for all calls, `latency=50,tps=100`; a call's own win. */
  readonly defaults?: string
  /** The only key that is taken; default: any that is not empty. */
  readonly apiKey?: string
  /** False: bodies and headers are not kept (for benchmarks). Default true. */
  readonly record?: boolean
}

const BODY_BYTES_MAX = 64 * 1024 * 1024
// The end of the prompt is enough to tell prompts apart, and hashing a megabyte would cost more than the answer.
const HASHED_CHARACTERS = 2048

/** Answers requests as the provider would. One per simulator. */
export class SimulatedProvider {
  readonly log = new RequestLog()
  readonly #options: ProviderOptions
  readonly #seed: number
  readonly #stored = new StoredResponses()
  #calls = 0

  /** Throws UnknownControl where the defaults name one. */
  constructor(options: ProviderOptions) {
    this.#options = options
    this.#seed = options.seed ?? 1
    applyControls(defaultControls(), options.defaults ?? '')
  }

  reset(): void {
    this.log.reset()
    this.#stored.clear()
    this.#calls = 0
  }

  onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url?.startsWith('/__simulator/')) this.#answerAdmin(request, response)
    else this.#receive(request, response)
  }

  #answerAdmin(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'POST' && request.url === '/__simulator/reset') this.reset()
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(this.log))
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const exchange = new Exchange(request, response, this.log)
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) exchange.reset()
      else chunks.push(chunk)
    })
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      if (isUpload(request)) this.#answer(exchange, body.toString('latin1'), parseUpload)
      else if (!isForm(request)) this.#answer(exchange, body.toString('utf8'), parseBody)
      else readForm(request, body).then((form) => this.#answer(exchange, body.toString('latin1'), () => form))
    })
    // A client that goes away while it sends is counted by the response's close.
    request.on('error', () => {})
  }

  #answer(exchange: Exchange, text: string, parse: (text: string) => JsonObject): void {
    try {
      this.#route(exchange, text, parse)
    } catch (error) {
      exchange.sendError(asProviderError(error), undefined)
    }
  }

  #route(exchange: Exchange, text: string, parse: (text: string) => JsonObject): void {
    const body = text === '' ? {} : parse(text)
    if (this.#options.record !== false) exchange.record(text, body)
    this.#authenticate(exchange)
    const route = findRoute(exchange.method, exchange.path, exchange.dialect)
    if (route === undefined) throw new ProviderError(404, `Invalid URL (${exchange.method} ${exchange.path})`)
    const controls = defaultControls()
    const call = this.#readCall(exchange, body, route, controls)
    if (controls.faults.has('error_before')) {
      setTimeout(() => exchange.sendError(simulatedError(controls.status), controls.retryAfter), controls.latencyMs)
      return
    }
    exchange.send(route.answer(call), call)
  }

  /** Any key will do, but there must be one, as at the real ones. */
  #authenticate(exchange: Exchange): void {
    const { headers } = exchange.request
    const bearer = headers.authorization?.replace(/^Bearer\s+/i, '')
    const inQuery = new URLSearchParams(exchange.query).get('key')
    const key = headers['x-api-key'] ?? headers['api-key'] ?? headers['x-goog-api-key'] ?? bearer ?? inQuery ?? ''
    const wanted = this.#options.apiKey
    const { noKey } = DIALECTS[exchange.dialect]
    if (noKey === undefined || (key !== '' && (wanted === undefined || key === wanted))) return
    throw new ProviderError(401, noKey, 'invalid_api_key')
  }

  #readCall(exchange: Exchange, body: JsonObject, route: Route, controls: Controls): Call {
    const { headers } = exchange.request
    if (this.#options.defaults !== undefined) applyControls(controls, this.#options.defaults)
    const model = route.generates ? readModel(route.model ?? body['model'] ?? route.defaultModel, controls) : ''
    const prompt = route.prompt ? route.prompt(body) : route.generates ? promptText(body) : ''
    takeFromText(controls, prompt)
    const header = headers['x-simulate']
    if (typeof header === 'string') applyControls(controls, header)
    const seed = hashText(prompt.slice(-HASHED_CHARACTERS), hashText(model, this.#seed))
    this.#calls += 1
    const idSeed = Math.imul(this.#seed + this.#calls, 0x9e3779b1) >>> 0
    const nowSeconds = Math.floor(Date.now() / 1000)
    const { target } = exchange
    return { target, headers, body, model, controls, seed, idSeed, nowSeconds, stored: this.#stored }
  }
}

function parseBody(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    throw new ProviderError(400, 'We could not parse the JSON body of your request.')
  }
  throw new ProviderError(400, 'The body of your request must be a JSON object.')
}

function readModel(model: unknown, controls: Controls): string {
  if (typeof model !== 'string' || model === '') throw new ProviderError(400, 'you must provide a model parameter')
  const name = takeFromModel(controls, model)
  if (!name.startsWith('unknown-')) return name
  throw new ProviderError(
    404,
    `The model \`${name}\` does not exist or you do not have access to it.`,
    'model_not_found',
  )
}

/** The last user text, or the prompt or input where a call has those. */
function promptText(body: JsonObject): string {
  if (body['messages'] !== undefined) return lastUserText(body)
  if (body['input'] !== undefined) return responseUserText(body)
  const prompt: unknown = Array.isArray(body['prompt']) ? body['prompt'][0] : body['prompt']
  return typeof prompt === 'string' ? prompt : ''
}

function asProviderError(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error
  if (error instanceof UnknownControl) return new ProviderError(400, error.message, 'unknown_control')
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new ProviderError(500, `The simulator failed: ${message}`)
}

/** One request with its response. */
class Exchange {
  readonly request: IncomingMessage
  readonly #response: ServerResponse
  readonly #log: RequestLog
  #cutByUs = false

  constructor(request: IncomingMessage, response: ServerResponse, log: RequestLog) {
    this.request = request
    this.#response = response
    this.#log = log
    log.begin()
    response.once('close', () => this.#closed())
  }

  get method(): string {
    return this.request.method ?? 'GET'
  }

  /** Without query. */
  get path(): string {
    return this.target.split('?', 1)[0] as string
  }

  /** "" or what stands behind the question mark. */
  get query(): string {
    return this.target.slice(this.path.length + 1)
  }

  /** Path and query. */
  get target(): string {
    return this.request.url ?? '/'
  }

  get dialect(): Dialect {
    return dialectOf(this.request, this.path)
  }

  record(text: string, body: JsonObject): void {
    const { method, path } = this
    const model = typeof body['model'] === 'string' ? body['model'] : ''
    this.#log.record({ method, path, headers: maskHeaders(this.request.headers), model, at: Date.now() }, text)
  }

  send(reply: Reply, call: Call): void {
    this.#identify(call.idSeed)
    deliver(this.#response, reply, call.controls, this.reset)
  }

  sendError(error: ProviderError, retryAfterSeconds: number | undefined): void {
    if (this.#response.headersSent || this.#response.destroyed) return
    const requestId = this.#identify(this.#log.requests)
    if (retryAfterSeconds !== undefined) this.#response.setHeader('retry-after', retryAfterSeconds)
    this.#response.statusCode = error.status
    this.#response.setHeader('content-type', 'application/json')
    for (const [name, value] of Object.entries(DIALECTS[this.dialect].errorHeaders?.(error) ?? {}))
      this.#response.setHeader(name, value)
    this.#response.end(DIALECTS[this.dialect].errorBody(error, requestId, this.target))
  }

  reset = (): void => {
    this.#cutByUs = true
    this.request.socket.resetAndDestroy()
  }

  #identify(seed: number): string {
    const requestId = `req_${idTail(seed + 3, 24)}`
    this.#response.setHeader(DIALECTS[this.dialect].requestIdHeader, requestId)
    return requestId
  }

  #closed(): void {
    if (this.#response.writableFinished) this.#log.end('answered')
    else this.#log.end(this.#cutByUs ? 'cut_by_us' : 'closed_by_client')
  }
}
