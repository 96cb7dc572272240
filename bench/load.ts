/**
 * The load generator, a process of its own: raw keep-alive sockets. Each message from the parent is one run, answered
 * by its result. Ends with its parent.
 *
 * At a fixed rate each call is sent when it is due and timed from then, whether or not earlier ones have been
 * answered: a proxy that stalls pays for every call that had to wait (no coordinated omission).
 */
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { LoadJob, LoadResult } from './load-types.ts'
import { monotonicMicros } from './traffic.ts'

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = '\r\n0\r\n\r\n'

class Call {
  readonly dueMicros: number
  firstMicros = 0
  headLength = 0
  contentLength: number | undefined
  received = 0
  tail = ''
  status = 0

  constructor(dueMicros: number) {
    this.dueMicros = dueMicros
  }
}

class Connection {
  call: Call | undefined
  readonly #socket: Socket
  readonly #run: Run

  constructor(run: Run) {
    this.#run = run
    this.#socket = connect({ port: run.job.port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (bytes: Buffer) => this.#read(bytes))
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.on('close', () => run.lost(this))
  }

  send(call: Call): void {
    this.call = call
    this.#socket.write(this.#run.request)
  }

  close(): void {
    this.call = undefined
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    const { call } = this
    if (call === undefined) return
    const now = monotonicMicros()
    call.received += bytes.length
    if (call.headLength === 0 && !this.#readHead(call, bytes)) return
    if (call.firstMicros === 0 && call.received > call.headLength) call.firstMicros = now
    if (this.#run.job.stamped) this.#run.readStamps(bytes, now)
    if (!isWhole(call, bytes)) return
    this.call = undefined
    this.#run.answered(this, call, now)
  }

  /** The head comes in one piece: it is far smaller than a segment. */
  #readHead(call: Call, bytes: Buffer): boolean {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0) return false
    const head = bytes.toString('latin1', 0, end)
    call.headLength = call.received - bytes.length + end + 4
    call.status = Number(head.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
    call.contentLength = length === undefined ? undefined : Number(length)
    return true
  }
}

function isWhole(call: Call, bytes: Buffer): boolean {
  if (call.contentLength !== undefined) return call.received >= call.headLength + call.contentLength
  call.tail = (call.tail + bytes.toString('latin1', Math.max(0, bytes.length - LAST_CHUNK.length))).slice(
    -LAST_CHUNK.length,
  )
  return call.tail === LAST_CHUNK
}

class Run {
  readonly job: LoadJob
  readonly request: Buffer
  readonly #totals: number[] = []
  readonly #firsts: number[] = []
  readonly #eventDelays: number[] = []
  readonly #idle: Connection[] = []
  readonly #open = new Set<Connection>()
  readonly #waiting: Call[] = []
  readonly #finish: (result: LoadResult) => void
  readonly #startMicros = monotonicMicros()
  readonly #warmMicros: number
  readonly #endMicros: number
  #sent = 0
  #failed = 0
  #over = false

  constructor(job: LoadJob, finish: (result: LoadResult) => void) {
    this.job = job
    this.request = Buffer.from(job.request)
    this.#finish = finish
    this.#warmMicros = this.#startMicros + job.warmSeconds * 1e6
    this.#endMicros = this.#warmMicros + job.seconds * 1e6
    if (job.ratePerSecond === undefined) for (let i = 0; i < job.connections; i++) this.#sendNow()
    else this.#pace(job.ratePerSecond)
  }

  /** A thread that sleeps precisely wakes this one: a timer of the event loop is late by up to a millisecond. */
  #pace(ratePerSecond: number): void {
    const startMicros = monotonicMicros() + 20_000
    const everyMicros = 1e6 / ratePerSecond
    const pacer = new Worker(new URL('./pacer.ts', import.meta.url), {
      workerData: { startMicros, everyMicros, endMicros: this.#endMicros },
    })
    pacer.on('message', () => {
      const now = monotonicMicros()
      for (let due = startMicros + this.#sent * everyMicros; due <= now && due < this.#endMicros; due += everyMicros) {
        this.#sent++
        this.#dispatch(new Call(due))
      }
    })
    pacer.on('exit', () => setTimeout(() => this.#end(), this.#settleMs()))
  }

  /** What is still on its way when the last call was sent; a call that takes longer counts as failed. */
  #settleMs(): number {
    return this.job.stamped ? 1_500 : 500
  }

  #dispatch(call: Call): void {
    const connection = this.#idle.pop()
    if (connection) connection.send(call)
    else if (this.#open.size < this.job.connections) this.#connect().send(call)
    else this.#waiting.push(call)
  }

  #connect(): Connection {
    const connection = new Connection(this)
    this.#open.add(connection)
    return connection
  }

  #sendNow(): void {
    this.#sent++
    this.#connect().send(new Call(monotonicMicros()))
  }

  answered(connection: Connection, call: Call, nowMicros: number): void {
    if (call.status !== 200) this.#failed++
    if (call.dueMicros >= this.#warmMicros && call.dueMicros < this.#endMicros) {
      this.#totals.push(nowMicros - call.dueMicros)
      this.#firsts.push(call.firstMicros - call.dueMicros)
    }
    if (this.job.ratePerSecond === undefined) this.#goOn(connection, nowMicros)
    else this.#reuse(connection)
  }

  #goOn(connection: Connection, nowMicros: number): void {
    if (nowMicros >= this.#endMicros) {
      this.#open.delete(connection)
      connection.close()
      if (this.#open.size === 0) this.#end()
      return
    }
    connection.send(new Call(nowMicros))
  }

  #reuse(connection: Connection): void {
    const next = this.#waiting.shift()
    if (next) connection.send(next)
    else this.#idle.push(connection)
  }

  readStamps(bytes: Buffer, nowMicros: number): void {
    if (nowMicros < this.#warmMicros) return
    for (const match of bytes.toString('latin1').matchAll(/@(\d{16})@/g)) {
      this.#eventDelays.push(nowMicros - Number(match[1]))
    }
  }

  lost(connection: Connection): void {
    const { call } = connection
    this.#open.delete(connection)
    const index = this.#idle.indexOf(connection)
    if (index >= 0) this.#idle.splice(index, 1)
    if (call === undefined || this.#over) return
    this.#failed++
    if (this.job.ratePerSecond === undefined) this.#sendNow()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    for (const connection of this.#open) {
      if (connection.call) this.#failed++
      connection.close()
    }
    this.#finish({
      calls: this.#totals.length,
      seconds: this.job.seconds,
      failed: this.#failed + this.#waiting.length,
      total: spread(this.#totals),
      first: spread(this.#firsts),
      eventDelay: spread(this.#eventDelays),
    })
  }
}

function spread(values: number[]): LoadResult['total'] {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

process.on('message', (job: LoadJob) => void new Run(job, (result) => process.send?.(result)))
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
