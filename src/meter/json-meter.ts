/**
 * Picks named members out of a JSON text while its bytes go by, whatever its size and wherever it is cut. It keeps
 * those members alone, each up to 256 KiB, and never the whole body. Which members: json-paths.ts.
 */

import { isBlank } from './json-blank.ts'
import { type PathNode, pathTree } from './json-paths.ts'
import type { JsonMeterShape } from './meter-types.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x5b
const CLOSE = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const COMMA = 0x2c
const COLON = 0x3a
const MEMBER_BYTES_MAX = 256 * 1024
/** Of a path through an array: all its values together. */
const LIST_BYTES_MAX = 1024 * 1024
/** No name we look for is longer, even written in escapes. */
const KEY_BYTES_MAX = 256
const BOM = 0xef

type State = 'before' | 'key_or_end' | 'key' | 'colon' | 'element_or_end' | 'value_start' | 'value' | 'done'

interface Frame {
  readonly node: PathNode
  readonly isArray: boolean
  /** Number of the element, of the innermost array around, that the scan stands in; -1: in none. */
  element: number
}

/** What was found under a path through an array. */
interface List {
  readonly values: Buffer[]
  bytes: number
  /** The element that the last value is of. */
  element: number
}

export class JsonMeter implements JsonMeterShape {
  unread = false
  readonly #root: PathNode
  readonly #found = new Map<string, Buffer>()
  readonly #lists = new Map<string, List>()
  readonly #counts = new Map<string, number>()
  #state: State = 'before'
  #started = false
  /** Objects and arrays on the way to a wanted member, outermost first, that the scan stands in. */
  readonly #open: Frame[] = []
  /** Elements begun so far, of whatever array. */
  #elements = 0
  /** Where the value that passes stands in the tree; undefined: nowhere. */
  #node: PathNode | undefined
  /** Depth inside the value that passes. */
  #depth = 0
  #inString = false
  #escaped = false
  /** Bytes of the key, or of the wanted value, that are being collected. */
  #kept: Buffer = Buffer.alloc(512)
  #keptLength = 0
  #tooLarge = false

  constructor(paths: readonly string[]) {
    this.#root = pathTree(paths)
  }

  /** What came so far begins as the JSON that is looked for: an object, or an array where a path starts with one. */
  get isJson(): boolean {
    return this.#started
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state !== 'done') at = this.#step(chunk, at)
  }

  end(): Readonly<Record<string, unknown>> {
    const members: Record<string, unknown> = {}
    for (const [path, bytes] of this.#found) {
      const value = this.#parse(bytes)
      if (value !== undefined) members[path] = value
    }
    for (const [path, { values }] of this.#lists)
      members[path] = values.map((bytes) => this.#parse(bytes)).filter((value) => value !== undefined)
    for (const [path, count] of this.#counts) members[path] = count
    if (this.#started && this.#state !== 'done') this.unread = true
    return members
  }

  #parse(bytes: Buffer): unknown {
    try {
      return JSON.parse(bytes.toString())
    } catch {
      this.unread = true
      return undefined
    }
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'before':
        return this.#begin(chunk, at)
      case 'key_or_end':
        return this.#keyOrEnd(chunk, at)
      case 'key':
        return this.#key(chunk, at)
      case 'colon':
        return this.#colon(chunk, at)
      case 'element_or_end':
        return this.#elementOrEnd(chunk, at)
      case 'value_start':
        return this.#valueStart(chunk, at)
      case 'value':
        return this.#value(chunk, at)
      default:
        return chunk.length
    }
  }

  #begin(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (isBlank(byte) || byte === BOM || byte === 0xbb || byte === 0xbf) return at + 1
    this.#started = this.#enter(byte, this.#root)
    if (!this.#started) this.#state = 'done'
    return at + 1
  }

  /** Goes into an object or array that a wanted member may be in. */
  #enter(byte: number, node: PathNode): boolean {
    const isArray = byte === OPEN && node.each !== undefined
    if (!isArray && (byte !== OPEN_BRACE || node.names.size === 0)) return false
    this.#state = isArray ? 'element_or_end' : 'key_or_end'
    if (isArray && node.count !== undefined) this.#counts.set(node.count, this.#counts.get(node.count) ?? 0)
    this.#open.push({ node, isArray, element: this.#open.at(-1)?.element ?? -1 })
    return true
  }

  #leave(): void {
    this.#open.pop()
    if (this.#open.length === 0) this.#state = 'done'
    else this.#afterValue()
  }

  /** A comma and the next member or element follow, or the end. */
  #afterValue(): void {
    this.#state = this.#top.isArray ? 'element_or_end' : 'key_or_end'
  }

  get #top(): Frame {
    return this.#open.at(-1) as Frame
  }

  #keyOrEnd(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === QUOTE) {
      this.#state = 'key'
      this.#keptLength = 0
      this.#escaped = false
    } else if (byte === CLOSE_BRACE) this.#leave()
    else if (!isBlank(byte) && byte !== COMMA) this.#giveUp()
    return at + 1
  }

  #elementOrEnd(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === CLOSE) this.#leave()
    else if (byte === CLOSE_BRACE) this.#giveUp()
    else if (!isBlank(byte) && byte !== COMMA) {
      this.#top.element = this.#elements++
      const { count } = this.#top.node
      if (count !== undefined) this.#counts.set(count, (this.#counts.get(count) as number) + 1)
      this.#beginValue(this.#top.node.each)
      return at
    }
    return at + 1
  }

  #key(chunk: Buffer, at: number): number {
    const end = this.#stringEnd(chunk, at)
    if (this.#keptLength + end - at <= KEY_BYTES_MAX) this.#keep(chunk, at, end)
    else this.#keptLength = KEY_BYTES_MAX + 1
    if (end === chunk.length) return end
    this.#state = 'colon'
    return end + 1
  }

  #colon(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (byte === COLON) {
      const name = this.#keptLength > KEY_BYTES_MAX ? '' : keyName(this.#kept.toString('utf8', 0, this.#keptLength))
      this.#beginValue(this.#top.node.names.get(name))
    } else if (!isBlank(byte)) this.#giveUp()
    return at + 1
  }

  #beginValue(node: PathNode | undefined): void {
    this.#node = node
    this.#state = 'value_start'
    this.#keptLength = 0
    this.#depth = 0
    this.#inString = false
    this.#tooLarge = false
  }

  #valueStart(chunk: Buffer, at: number): number {
    const byte = chunk[at] as number
    if (isBlank(byte)) return at + 1
    if (this.#node && this.#enter(byte, this.#node)) return at + 1
    this.#state = 'value'
    return at
  }

  /** Runs through a value to the comma or bracket behind it, which the next state reads. */
  #value(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      if (this.#inString) {
        at = this.#stringEnd(chunk, at)
        if (at === chunk.length) break
        this.#inString = false
        at++
        continue
      }
      const byte = chunk[at] as number
      if (byte === QUOTE) {
        this.#inString = true
        this.#escaped = false
      } else if (byte === OPEN_BRACE || byte === OPEN) this.#depth++
      else if (this.#depth === 0 && (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE)) {
        this.#keepValue(chunk, from, at)
        this.#finishValue()
        return at
      } else if (byte === CLOSE_BRACE || byte === CLOSE) this.#depth--
      at++
    }
    this.#keepValue(chunk, from, chunk.length)
    return chunk.length
  }

  #keepValue(chunk: Buffer, from: number, to: number): void {
    if (this.#node?.path === undefined || this.#tooLarge) return
    if (this.#keptLength + to - from <= MEMBER_BYTES_MAX) this.#keep(chunk, from, to)
    else {
      this.#tooLarge = true
      this.unread = true
      this.#kept = Buffer.alloc(512)
      this.#keptLength = 0
    }
  }

  #finishValue(): void {
    this.#afterValue()
    const node = this.#node
    if (node?.path === undefined || this.#tooLarge) return
    const value = Buffer.from(this.#kept.subarray(0, this.#keptLength))
    if (node.isList) this.#addToList(node.path, value)
    else this.#found.set(node.path, value)
  }

  #addToList(path: string, value: Buffer): void {
    let list = this.#lists.get(path)
    if (!list) {
      list = { values: [], bytes: 0, element: -1 }
      this.#lists.set(path, list)
    }
    // Of a name given twice the last one counts, as everywhere in JSON.
    const { element } = this.#top
    if (list.element === element) list.values.pop()
    list.element = element
    list.bytes += value.length
    if (list.bytes <= LIST_BYTES_MAX) list.values.push(value)
    else this.unread = true
  }

  /** Offset of the quote that ends the string `at` stands in, or the chunk's length. */
  #stringEnd(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]
      if (this.#escaped) this.#escaped = false
      else if (byte === BACKSLASH) this.#escaped = true
      else if (byte === QUOTE) return at
    }
    return chunk.length
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    const needed = this.#keptLength + to - from
    if (needed > this.#kept.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#kept.length * 2))
      this.#kept.copy(larger, 0, 0, this.#keptLength)
      this.#kept = larger
    }
    chunk.copy(this.#kept, this.#keptLength, from, to)
    this.#keptLength = needed
  }

  #giveUp(): void {
    this.unread = true
    this.#state = 'done'
  }
}

function keyName(escaped: string): string {
  if (!escaped.includes('\\')) return escaped
  try {
    return JSON.parse(`"${escaped}"`) as string
  } catch {
    return ''
  }
}
