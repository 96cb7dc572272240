import type { IncomingHttpHeaders } from 'node:http'

const SEEN_MAX = 1000
const BODY_CHARACTERS_MAX = 64 * 1024

/** One request as it reached the provider. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  /** Values that carry a key show their last four characters alone. */
  readonly headers: IncomingHttpHeaders
  readonly model: string
  readonly at: number
}

/** What reached the simulator and what became of it. Counters run since the start or the last reset. */
export interface SimulatorStats {
  readonly requests: number
  /** By path without query. */
  readonly byPath: Readonly<Record<string, number>>
  /** Answers sent to their end. */
  readonly answered: number
  /** Being answered now. */
  readonly open: number
  /** Connections that the other side closed before the answer was whole. */
  readonly closedByClient: number
  /** The last 1,000, oldest first; a body over 64 Ki characters is cut. */
  readonly bodies: readonly string[]
  readonly seen: readonly SeenRequest[]
}

const SECRET_HEADERS = new Set(['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'cookie'])

/** Counts requests, bounded in memory. */
export class RequestLog {
  requests = 0
  answered = 0
  open = 0
  closedByClient = 0
  byPath: Record<string, number> = {}
  bodies: string[] = []
  seen: SeenRequest[] = []

  begin(): void {
    this.requests += 1
    this.open += 1
  }

  record(request: SeenRequest, body: string): void {
    const path = request.path.split('?', 1)[0] as string
    this.byPath[path] = (this.byPath[path] ?? 0) + 1
    this.seen.push(request)
    this.bodies.push(body.slice(0, BODY_CHARACTERS_MAX))
    if (this.seen.length <= SEEN_MAX) return
    this.seen.shift()
    this.bodies.shift()
  }

  end(how: 'answered' | 'closed_by_client' | 'cut_by_us'): void {
    this.open -= 1
    if (how === 'answered') this.answered += 1
    if (how === 'closed_by_client') this.closedByClient += 1
  }

  /** Forgets everything but what is open now. */
  reset(): void {
    this.requests = 0
    this.answered = 0
    this.closedByClient = 0
    this.byPath = {}
    this.bodies = []
    this.seen = []
  }
}

/** The same headers with keys masked, so that a test may print them. */
export function maskHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const masked: IncomingHttpHeaders = {}
  for (const [name, value] of Object.entries(headers)) {
    masked[name] = SECRET_HEADERS.has(name) && typeof value === 'string' ? `…${value.slice(-4)}` : value
  }
  return masked
}
