/**
 * Hands out the elements of arrays inside a JSON text while its bytes go by: each element's own bytes, in pieces, whatever
 * its size. `data` is an array of the top level, `response.inlined.list` one deeper.
 */
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x5b
const CLOSE = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
/** No name that we look for is longer, even written in escapes. */
const KEY_BYTES_MAX = 256
const DEPTH_MAX = 1024

export interface ElementTaker {
  /** `path`: the one of the array that the element stands in. */
  onStart(path: string): void
  /** A part of what was pushed: good until this returns. */
  onBytes(bytes: Buffer): void
  onEnd(): void
}

/** A level that the scan stands in: the path so far where a wanted array may be below, else undefined. */
interface Level {
  readonly isArray: boolean
  readonly path: string | undefined
  /** Elements of this array are handed out. */
  readonly wanted: boolean
}

export class JsonElements {
  readonly #paths: ReadonlySet<string>
  readonly #prefixes: ReadonlySet<string>
  readonly #taker: ElementTaker
  readonly #levels: Level[] = []
  #inString = false
  #escaped = false
  /** The string that passes is a member's name. */
  #isKey = false
  #expectKey = false
  #key = ''
  #keyBytes: Buffer[] = []
  #keyLength = 0
  /** An element is being handed out; it ends at this depth. */
  #elementDepth = -1
  #broken = false

  constructor(paths: readonly string[], taker: ElementTaker) {
    this.#paths = new Set(paths)
    this.#prefixes = new Set(paths.flatMap((path) => prefixesOf(path)))
    this.#taker = taker
  }

  push(chunk: Buffer): void {
    let from = 0
    for (let at = 0; at < chunk.length && !this.#broken; at++) {
      const byte = chunk[at] as number
      if (this.#inString) {
        at = this.#string(chunk, at)
        continue
      }
      if (byte === QUOTE) {
        from = this.#begin(from, at)
        this.#inString = true
        this.#isKey = this.#expectKey
        this.#keyBytes = []
        this.#keyLength = 0
      } else if (byte === OPEN || byte === OPEN_BRACE) {
        from = this.#begin(from, at)
        this.#open(byte === OPEN)
      } else if (byte === CLOSE || byte === CLOSE_BRACE) {
        this.#close(chunk, from, at)
      } else if (byte === COMMA) {
        this.#comma(chunk, from, at)
      } else if (byte === COLON) {
        this.#expectKey = false
      } else if (!isBlank(byte)) {
        from = this.#begin(from, at)
      }
    }
    if (this.#elementDepth >= 0) this.#taker.onBytes(chunk.subarray(from))
  }

  /** Runs to the end of a string or of the chunk; answers the offset of the last byte of it. */
  #string(chunk: Buffer, start: number): number {
    let at = start
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) break
    }
    if (this.#isKey) this.#keepKey(chunk.subarray(start, at))
    if (at === chunk.length) return at
    this.#inString = false
    if (this.#isKey) this.#key = this.#keyLength > KEY_BYTES_MAX ? '' : nameOf(Buffer.concat(this.#keyBytes))
    return at
  }

  #keepKey(bytes: Buffer): void {
    this.#keyLength += bytes.length
    // A copy: the chunk may be used anew before the name is whole.
    if (this.#keyLength <= KEY_BYTES_MAX) this.#keyBytes.push(Buffer.from(bytes))
  }

  /** A value begins at `at`: of an array that is wanted it is an element. */
  #begin(from: number, at: number): number {
    const level = this.#levels.at(-1)
    if (this.#elementDepth >= 0 || level?.wanted !== true) return from
    this.#elementDepth = this.#levels.length
    this.#taker.onStart(level.path as string)
    return at
  }

  #open(isArray: boolean): void {
    if (this.#levels.length >= DEPTH_MAX) {
      this.#broken = true
      return
    }
    const above = this.#levels.at(-1)
    const path = this.#elementDepth >= 0 ? undefined : above === undefined ? '' : this.#pathOf(above)
    this.#levels.push({ isArray, path, wanted: isArray && path !== undefined && this.#paths.has(path) })
    this.#expectKey = !isArray
  }

  #pathOf(above: Level): string | undefined {
    if (above.isArray || above.path === undefined) return undefined
    const path = above.path === '' ? this.#key : `${above.path}.${this.#key}`
    return this.#paths.has(path) || this.#prefixes.has(path) ? path : undefined
  }

  #close(chunk: Buffer, from: number, at: number): void {
    // The element that a closing bracket ends without a comma behind it.
    if (this.#elementDepth === this.#levels.length) this.#finish(chunk.subarray(from, at))
    this.#levels.pop()
    this.#expectKey = false
  }

  #comma(chunk: Buffer, from: number, at: number): void {
    if (this.#elementDepth === this.#levels.length) this.#finish(chunk.subarray(from, at))
    this.#expectKey = this.#levels.at(-1)?.isArray === false
  }

  #finish(bytes: Buffer): void {
    this.#elementDepth = -1
    this.#taker.onBytes(bytes)
    this.#taker.onEnd()
  }
}

function prefixesOf(path: string): string[] {
  const names = path.split('.')
  return names.slice(0, -1).map((_, i) => names.slice(0, i + 1).join('.'))
}

function nameOf(bytes: Buffer): string {
  const text = bytes.toString()
  if (!text.includes('\\')) return text
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    return ''
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
