/**
 * How long a caller may take to send its body. Node's own limit is one for all requests, and ends with `server.close()`:
 * here files have longer than other bodies, and the limit holds while the gateway stops.
 */
import type { IncomingMessage } from 'node:http'

interface Upload {
  readonly deadlineMs: number
  readonly limit: UploadLimit
  readonly onLate: (limit: UploadLimit) => void
}

export interface UploadLimit {
  readonly ms: number
  /** The field of the config that says so. */
  readonly rule: 'limits.request_timeout' | 'limits.file_timeout'
}

export class UploadClock {
  readonly #open = new Map<IncomingMessage, Upload>()

  get open(): number {
    return this.#open.size
  }

  /** `onLate` is called once where the body is not whole in time. Nothing has to be said when it is. */
  begin(request: IncomingMessage, limit: UploadLimit, onLate: Upload['onLate']): void {
    this.#open.set(request, { deadlineMs: performance.now() + limit.ms, limit, onLate })
  }

  /** The body is whole, or no longer waited for: optional, so that nothing is kept until the next tick. */
  end(request: IncomingMessage): void {
    this.#open.delete(request)
  }

  /** Each second, by one timer of the process. */
  tick(): void {
    const nowMs = performance.now()
    for (const [request, upload] of this.#open) {
      const over = request.complete || request.destroyed
      if (!over && nowMs < upload.deadlineMs) continue
      this.#open.delete(request)
      if (!over) upload.onLate(upload.limit)
    }
  }
}
