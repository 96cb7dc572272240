import type { ServerResponse } from 'node:http'
import {
  type BrotliCompress,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  type Gzip,
  type ZstdCompress,
} from 'node:zlib'
import type { JsonReply, Reply, StreamReply } from './call.ts'
import type { Controls, Encoding } from './controls.ts'
import { oddSteps } from './odd-framing.ts'

/** A batch of an unpaced stream: one write each, so that a fast reader is served at memory speed and a slow one waited for. */
const BATCH_CHARACTERS = 32 * 1024

/** Sends a reply at its pace, with the faults that were asked for. `reset` resets the connection. */
export function deliver(response: ServerResponse, reply: Reply, controls: Controls, reset: () => void): void {
  if (controls.faults.has('hang_before')) return
  if (controls.faults.has('reset_before')) {
    after(response, controls.latencyMs, reset)
    return
  }
  const outlet = createOutlet(response, controls, reply, reset)
  if (reply.kind === 'stream') streamReply(response, outlet, reply, controls)
  else wholeReply(response, outlet, reply, controls)
}

/** Runs at once without a delay, and not at all once the client has gone. */
function after(response: ServerResponse, delayMs: number, run: () => void): void {
  if (delayMs <= 0) {
    run()
    return
  }
  const timer = setTimeout(run, delayMs)
  response.once('close', () => clearTimeout(timer))
}

/** Where the bytes go: the response itself, or a compressor in front of it that is flushed with each write. */
interface Outlet {
  /** False: wait for `drained`. */
  write(text: string | Buffer): boolean
  drained(run: () => void): void
  end(text: string | Buffer): void
  /** Resets the connection once everything written has left. */
  reset(): void
}

function createOutlet(response: ServerResponse, controls: Controls, reply: Reply, reset: () => void): Outlet {
  const characters = reply.kind === 'stream' && reply.binary ? 'latin1' : 'utf8'
  if (controls.encoding !== undefined) return compressedOutlet(response, controls.encoding, characters, reset)
  return {
    write: (text) => response.write(text, characters),
    drained: (run) => response.once('drain', run),
    end: (text) => response.end(text, characters),
    // One turn of the loop: the last write is handed to the kernel before the reset drops what is queued.
    reset: () => setImmediate(reset),
  }
}

type Compressor = Gzip | BrotliCompress | ZstdCompress

const COMPRESSORS: Readonly<Record<Encoding, () => Compressor>> = {
  gzip: createGzip,
  br: createBrotliCompress,
  zstd: createZstdCompress,
}

function compressedOutlet(
  response: ServerResponse,
  encoding: Encoding,
  characters: BufferEncoding,
  reset: () => void,
): Outlet {
  response.setHeader('content-encoding', encoding)
  const compressor = COMPRESSORS[encoding]()
  compressor.pipe(response)
  response.once('close', () => compressor.destroy())
  return {
    write(text) {
      const more = compressor.write(text, characters)
      compressor.flush()
      return more
    },
    drained: (run) => compressor.once('drain', run),
    end: (text) => compressor.end(text, characters),
    reset: () => compressor.flush(() => setImmediate(reset)),
  }
}

function wholeReply(response: ServerResponse, outlet: Outlet, reply: JsonReply, controls: Controls): void {
  const paceMs = controls.tokensPerSecond === 0 ? 0 : (reply.tokens * 1000) / controls.tokensPerSecond
  after(response, controls.latencyMs + paceMs, () => sendWhole(response, outlet, reply, controls))
}

function sendWhole(response: ServerResponse, outlet: Outlet, reply: JsonReply, controls: Controls): void {
  const { faults } = controls
  const half = reply.body.slice(0, reply.body.length >> 1)
  response.statusCode = reply.status
  setOwnHeaders(response, reply)
  response.setHeader('content-type', reply.contentType ?? 'application/json')
  if (faults.has('close_delimited')) closeDelimited(response)
  if (faults.has('truncate') || faults.has('malformed')) outlet.end(half)
  else if (faults.has('endless')) endlessBody(response, outlet, reply)
  else if (faults.has('hang_mid') || faults.has('reset_mid')) {
    if (controls.encoding === undefined) response.setHeader('content-length', Buffer.byteLength(reply.body))
    outlet.write(half)
    if (faults.has('reset_mid')) outlet.reset()
  } else {
    const plain = controls.encoding === undefined && !faults.has('close_delimited')
    if (plain) response.setHeader('content-length', Buffer.byteLength(reply.body))
    outlet.end(reply.body)
  }
}

function setOwnHeaders(response: ServerResponse, { headers = {} }: Reply): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

function closeDelimited(response: ServerResponse): void {
  response.useChunkedEncodingByDefault = false
  response.shouldKeepAlive = false
  response.removeHeader('transfer-encoding')
}

/** A JSON body whose first text never ends. */
function endlessBody(response: ServerResponse, outlet: Outlet, reply: JsonReply): void {
  const start = reply.body.indexOf(reply.text) + reply.text.length
  const more = reply.text.repeat(Math.ceil(BATCH_CHARACTERS / Math.max(1, reply.text.length)))
  const pump = () => {
    if (response.destroyed) return
    if (outlet.write(more)) setImmediate(pump)
    else outlet.drained(pump)
  }
  outlet.write(reply.body.slice(0, start))
  pump()
}

function streamReply(response: ServerResponse, outlet: Outlet, reply: StreamReply, controls: Controls): void {
  after(response, controls.latencyMs, () => {
    response.statusCode = 200
    setOwnHeaders(response, reply)
    response.setHeader('content-type', reply.contentType ?? 'text/event-stream; charset=utf-8')
    response.setHeader('cache-control', 'no-cache')
    if (controls.faults.has('close_delimited')) closeDelimited(response)
    response.flushHeaders()
    new StreamPump(response, outlet, reply, controls).start()
  })
}

const MID_FAULTS = ['error_mid', 'error_bare', 'failed_mid', 'reset_mid', 'truncate', 'hang_mid', 'malformed'] as const

/** Writes the steps of one stream: in batches as fast as they are taken, or a token at a time at the pace asked for. */
class StreamPump {
  readonly #response: ServerResponse
  readonly #outlet: Outlet
  readonly #reply: StreamReply
  readonly #steps: Iterator<string>
  readonly #tokensPerSecond: number
  readonly #fault: (typeof MID_FAULTS)[number] | undefined
  /** Steps taken before the fault strikes. */
  readonly #faultAt: number
  #taken = 0
  #startedMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(response: ServerResponse, outlet: Outlet, reply: StreamReply, controls: Controls) {
    this.#response = response
    this.#outlet = outlet
    this.#reply = reply
    this.#steps = oddSteps(reply.steps, controls.faults)
    this.#tokensPerSecond = controls.tokensPerSecond
    this.#fault = MID_FAULTS.find((fault) => controls.faults.has(fault))
    const midTokens = Math.min(controls.at ?? reply.tokens >> 1, reply.tokens)
    this.#faultAt = this.#fault === undefined ? Number.POSITIVE_INFINITY : 1 + midTokens
  }

  start(): void {
    this.#startedMs = performance.now()
    this.#response.once('close', () => clearTimeout(this.#timer))
    this.#pump()
  }

  #pump = (): void => {
    if (this.#response.destroyed) return
    const due = this.#stepsDue()
    let batch = ''
    while (this.#taken < due && batch.length < BATCH_CHARACTERS) {
      if (this.#taken === this.#faultAt) {
        if (this.#strike(batch)) return
        batch = this.#reply.brokenEvent ?? 'data: {"broken":\n\n'
      }
      const step = this.#steps.next()
      this.#taken += 1
      if (step.done) {
        this.#outlet.end(batch)
        return
      }
      batch += step.value
    }
    if (batch === '' || this.#outlet.write(batch)) this.#again()
    else this.#outlet.drained(this.#pump)
  }

  #stepsDue(): number {
    if (this.#tokensPerSecond === 0) return Number.POSITIVE_INFINITY
    return 1 + Math.floor(((performance.now() - this.#startedMs) * this.#tokensPerSecond) / 1000)
  }

  #again(): void {
    if (this.#tokensPerSecond === 0) {
      setImmediate(this.#pump)
      return
    }
    const nextMs = this.#startedMs + (this.#taken * 1000) / this.#tokensPerSecond
    this.#timer = setTimeout(this.#pump, Math.max(1, nextMs - performance.now()))
  }

  /** True where the stream is over with it. */
  #strike(batch: string): boolean {
    switch (this.#fault) {
      case 'error_mid':
      case 'error_bare':
        this.#outlet.end(batch + this.#reply.errorEvent)
        return true
      case 'failed_mid':
        this.#outlet.end(batch + this.#reply.failedEvent)
        return true
      case 'truncate':
        this.#outlet.end(batch)
        return true
      case 'reset_mid':
        if (batch !== '') this.#outlet.write(batch)
        this.#outlet.reset()
        return true
      case 'hang_mid':
        if (batch !== '') this.#outlet.write(batch)
        return true
      default:
        if (batch !== '') this.#outlet.write(batch)
        return false
    }
  }
}
