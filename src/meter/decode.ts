/**
 * Decodes a compressed answer as it comes: for metering a copy of its bytes, or for handing an event stream on as
 * identity. It never throws: corrupt or boundless input stops it, and says so.
 */
import {
  type BrotliDecompress,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  type Gunzip,
  type Inflate,
  type InflateRaw,
  type ZstdDecompress,
} from 'node:zlib'

export interface DecodeLimits {
  /** Decoded bytes in all; default 1 GiB: none are kept, so this bounds time alone. */
  readonly bytesMax?: number
  /** Decoded bytes for each encoded one, once 4 MiB are decoded; default 200. */
  readonly ratioMax?: number
}

/** corrupt: no such encoding in these bytes. truncated: the body ended early. too_large: a bound was met. */
export type DecodeFailure = 'corrupt' | 'truncated' | 'too_large'

export interface Decoder {
  /** Settles once the bytes are decoded and given to `onBytes`: wait for it before the next write. Never rejects. */
  write(chunk: Buffer): Promise<void>
  /** After the last byte. Never rejects. */
  end(): Promise<void>
  /** Frees what is held; nothing is given out after. */
  destroy(): void
  /** Why nothing more is decoded; undefined while all is well. */
  readonly failure: DecodeFailure | undefined
}

const BYTES_MAX = 1024 * 1024 * 1024
const RATIO_MAX = 200
/** Small answers may repeat themselves a lot (Perplexity sends its sources with every chunk). */
const RATIO_FROM_BYTES = 4 * 1024 * 1024
const ENCODINGS = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd'])

type Engine = Gunzip | Inflate | InflateRaw | BrotliDecompress | ZstdDecompress

/** undefined where the encoding is none, or none that we know: then the bytes are what they are. */
export function createDecoder(
  contentEncoding: string | undefined,
  onBytes: (bytes: Buffer) => void,
  limits: DecodeLimits = {},
): Decoder | undefined {
  const encoding = (contentEncoding ?? '').trim().toLowerCase()
  return ENCODINGS.has(encoding) ? new EngineDecoder(encoding, onBytes, limits) : undefined
}

/** Whether `createDecoder` makes one. */
export function isKnownEncoding(contentEncoding: string): boolean {
  return ENCODINGS.has(contentEncoding.trim().toLowerCase())
}

class EngineDecoder implements Decoder {
  failure: DecodeFailure | undefined
  readonly #encoding: string
  readonly #onBytes: (bytes: Buffer) => void
  readonly #bytesMax: number
  readonly #ratioMax: number
  #engine: Engine | undefined
  #encodedBytes = 0
  #decodedBytes = 0
  #closed = false
  #ended = false
  /** Wakes whoever waits for the engine, also when it fails. */
  #wake: (() => void) | undefined

  constructor(encoding: string, onBytes: (bytes: Buffer) => void, limits: DecodeLimits) {
    this.#encoding = encoding
    this.#onBytes = onBytes
    this.#bytesMax = limits.bytesMax ?? BYTES_MAX
    this.#ratioMax = limits.ratioMax ?? RATIO_MAX
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.failure || this.#closed || chunk.length === 0) return
    this.#encodedBytes += chunk.length
    const engine = this.#engine ?? this.#start(chunk)
    await this.#settled((done) => engine.write(chunk, done))
  }

  async end(): Promise<void> {
    const engine = this.#engine
    this.#ended = true
    if (!engine || this.failure || this.#closed) return
    await this.#settled((done) => {
      engine.once('end', done)
      engine.end()
    })
    this.destroy()
  }

  destroy(): void {
    this.#closed = true
    this.#engine?.destroy()
    this.#wake?.()
  }

  #settled(start: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      start(() => resolve())
    })
  }

  #start(first: Buffer): Engine {
    const engine = makeEngine(this.#encoding, first)
    engine.on('data', (bytes: Buffer) => this.#take(bytes))
    engine.on('error', () => this.#fail(this.#ended ? 'truncated' : 'corrupt'))
    this.#engine = engine
    return engine
  }

  #take(bytes: Buffer): void {
    if (this.failure || this.#closed) return
    this.#decodedBytes += bytes.length
    const boundless = this.#decodedBytes > RATIO_FROM_BYTES && this.#decodedBytes > this.#encodedBytes * this.#ratioMax
    if (this.#decodedBytes > this.#bytesMax || boundless) this.#fail('too_large')
    else this.#onBytes(bytes)
  }

  #fail(failure: DecodeFailure): void {
    this.failure ??= failure
    this.destroy()
  }
}

function makeEngine(encoding: string, first: Buffer): Engine {
  // Each write is flushed: a stream's events must not wait for the next ones.
  const options = { flush: constants.Z_SYNC_FLUSH }
  switch (encoding) {
    case 'br':
      return createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH })
    case 'zstd':
      return createZstdDecompress({ flush: constants.ZSTD_e_flush })
    case 'deflate':
      // Some servers send raw deflate under this name; a zlib header has 8 in its low four bits.
      return ((first[0] as number) & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options)
    default:
      return createGunzip(options)
  }
}
