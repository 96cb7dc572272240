/**
 * The lines of a batch summed up as they pass, small enough to be kept: by model and kind of call how many there are, what
 * their inputs come to, how many output tokens they allow, and which of them may be the dearest. Prices come later.
 */
import { type CountedKind, TOKEN_KINDS, type TokenKind } from './usage.ts'

/** One line as a call. */
export interface BatchLine {
  /** Endpoint of the call in it. */
  readonly endpoint: string
  /** "" where the line names none. */
  readonly model: string
  /** undefined: a line that costs nothing (moderations). */
  readonly call: LineCall | undefined
}

/** What is needed of a line's call; a provider's CallRequest has it all. */
export interface LineCall {
  readonly input: {
    readonly highTokens: number
    readonly lowTokens: number
    readonly cacheWriteTokens: number
    readonly cacheWriteKind: 'cache_write_5m' | 'cache_write_1h'
    readonly parts?: { readonly [kind in TokenKind]?: number }
  }
  readonly generates: boolean
  readonly outputLimit: number | undefined
  readonly answers: number
  readonly audioOutput: boolean
  readonly imageOutput?: boolean
  readonly units?: { readonly [kind in CountedKind]?: number }
  readonly billedBy?: readonly CountedKind[]
  readonly unseenInput: boolean
}

/** Lines of one model that are priced alike. */
export interface BatchGroup {
  readonly endpoint: string
  readonly model: string
  readonly generates: boolean
  readonly audioOutput: boolean
  readonly imageOutput: boolean
  readonly billedBy: readonly CountedKind[]
  /** They name an output limit; those that do not are held at the plan's. */
  readonly limited: boolean
  /** They read input that stands in no body. */
  readonly unseenInput: boolean
  readonly cacheWriteKind: 'cache_write_5m' | 'cache_write_1h'
  readonly lines: number
  readonly lowTokens: number
  readonly highTokens: number
  readonly cacheWriteTokens: number
  readonly parts: { readonly [kind in TokenKind]?: number }
  readonly units: { readonly [kind in CountedKind]?: number }
  /** limited: the sum of limit × answers; else of answers. */
  readonly outputTokens: number
  /** The longest input of a line: which rates of a long context may count. */
  readonly longestTokens: number
  /** Any line costs at most what one of these does. */
  readonly dearest: readonly DearLine[]
}

export interface DearLine {
  readonly highTokens: number
  readonly cacheWriteTokens: number
  /** As in the group. */
  readonly outputTokens: number
  readonly parts: { readonly [kind in TokenKind]?: number }
  readonly units: { readonly [kind in CountedKind]?: number }
}

export interface BatchSummary {
  readonly lines: number
  readonly groups: readonly BatchGroup[]
}

/** More kinds of lines than this in one batch: it is refused. */
export const BATCH_GROUPS_MAX = 64
const DEAREST_MAX = 8
/** Long contexts are dearer from some length on; which, the price says. Lines of about one length stay together. */
const LENGTHS = [32_000, 64_000, 128_000, 200_000, 256_000, 272_000, 400_000, 512_000, 1_000_000]

type Growing = { -readonly [K in keyof BatchGroup]: BatchGroup[K] } & {
  parts: { [kind in TokenKind]?: number }
  units: { [kind in CountedKind]?: number }
  dearest: DearLine[]
}

/** A sum that is put down, to be gone on with: JSON. */
export interface SavedSum {
  readonly lines: number
  readonly groups: readonly (readonly [key: string, group: BatchGroup])[]
}

export class BatchSum {
  readonly #groups: Map<string, Growing>
  #lines: number

  constructor(saved?: SavedSum) {
    this.#groups = new Map((saved?.groups ?? []) as readonly [string, Growing][])
    this.#lines = saved?.lines ?? 0
  }

  get saved(): SavedSum {
    return { lines: this.#lines, groups: [...this.#groups] }
  }

  get summary(): BatchSummary {
    return { lines: this.#lines, groups: [...this.#groups.values()] }
  }

  /** False: there are too many kinds of lines, and this one is left out. */
  add({ endpoint, model, call }: BatchLine): boolean {
    this.#lines++
    if (call === undefined) return true
    const key = keyOf(endpoint, model, call)
    let group = this.#groups.get(key)
    if (group === undefined) {
      if (this.#groups.size >= BATCH_GROUPS_MAX) return false
      group = newGroup(endpoint, model, call)
      this.#groups.set(key, group)
    }
    addLine(group, lineOf(call), call.input.lowTokens)
    return true
  }
}

function keyOf(endpoint: string, model: string, call: LineCall): string {
  const { input, units = {}, billedBy = [] } = call
  const length = LENGTHS.findIndex((bound) => input.highTokens <= bound)
  const flags = [
    call.generates,
    call.audioOutput,
    call.imageOutput === true,
    call.outputLimit !== undefined,
    call.unseenInput,
  ]
  const kinds = [...Object.keys(input.parts ?? {}), ...Object.keys(units), ...billedBy].sort()
  // Lines without output are held alike whatever limit they name.
  return [endpoint, length, flags.map(Number).join(''), input.cacheWriteKind, kinds.join(','), model].join('|')
}

function newGroup(endpoint: string, model: string, call: LineCall): Growing {
  return {
    endpoint,
    model,
    generates: call.generates,
    audioOutput: call.audioOutput,
    imageOutput: call.imageOutput === true,
    billedBy: call.billedBy ?? [],
    limited: call.outputLimit !== undefined,
    unseenInput: call.unseenInput,
    cacheWriteKind: call.input.cacheWriteKind,
    lines: 0,
    lowTokens: 0,
    highTokens: 0,
    cacheWriteTokens: 0,
    parts: {},
    units: {},
    outputTokens: 0,
    longestTokens: 0,
    dearest: [],
  }
}

function lineOf(call: LineCall): DearLine {
  const { input, generates, outputLimit, answers } = call
  return {
    highTokens: input.highTokens,
    cacheWriteTokens: input.cacheWriteTokens,
    outputTokens: generates ? capped(outputLimit === undefined ? answers : outputLimit * answers) : 0,
    parts: input.parts ?? {},
    units: call.units ?? {},
  }
}

function addLine(group: Growing, line: DearLine, lowTokens: number): void {
  group.lines++
  group.lowTokens = capped(group.lowTokens + lowTokens)
  group.highTokens = capped(group.highTokens + line.highTokens)
  group.cacheWriteTokens = capped(group.cacheWriteTokens + line.cacheWriteTokens)
  group.outputTokens = capped(group.outputTokens + line.outputTokens)
  group.longestTokens = Math.max(group.longestTokens, line.highTokens)
  for (const kind of TOKEN_KINDS) {
    const count = line.parts[kind]
    if (count !== undefined) group.parts[kind] = capped((group.parts[kind] ?? 0) + count)
  }
  for (const [kind, count] of Object.entries(line.units) as [CountedKind, number][])
    group.units[kind] = (group.units[kind] ?? 0) + count
  group.dearest = withLine(group.dearest, line)
}

/** The lines that none is above in everything. Where they become many, two are taken together: dearer than either. */
function withLine(dearest: readonly DearLine[], line: DearLine): DearLine[] {
  if (dearest.some((other) => covers(other, line))) return dearest as DearLine[]
  const kept = dearest.filter((other) => !covers(line, other))
  if (kept.length < DEAREST_MAX) return [...kept, line]
  const sorted = [...kept, line].sort((a, b) => a.highTokens - b.highTokens)
  const [first, second, ...rest] = sorted as [DearLine, DearLine, ...DearLine[]]
  return [both(first, second), ...rest]
}

function covers(a: DearLine, b: DearLine): boolean {
  return (
    a.highTokens >= b.highTokens &&
    a.cacheWriteTokens >= b.cacheWriteTokens &&
    a.outputTokens >= b.outputTokens &&
    coversEach(a.parts, b.parts) &&
    coversEach(a.units, b.units)
  )
}

type Counts = { readonly [kind: string]: number | undefined }

function coversEach(a: Counts, b: Counts): boolean {
  return Object.entries(b).every(([kind, count]) => (a[kind] ?? 0) >= (count ?? 0))
}

function both(a: DearLine, b: DearLine): DearLine {
  return {
    highTokens: Math.max(a.highTokens, b.highTokens),
    cacheWriteTokens: Math.max(a.cacheWriteTokens, b.cacheWriteTokens),
    outputTokens: Math.max(a.outputTokens, b.outputTokens),
    parts: largerOfEach(a.parts, b.parts),
    units: largerOfEach(a.units, b.units),
  }
}

function largerOfEach<C extends Counts>(a: C, b: C): C {
  const larger: Record<string, number> = {}
  for (const kind of new Set([...Object.keys(a), ...Object.keys(b)]))
    larger[kind] = Math.max(a[kind] ?? 0, b[kind] ?? 0)
  return larger as C
}

/** A caller may name any limit at all; what is beyond counting is refused by its price. */
function capped(count: number): number {
  return Math.min(count, Number.MAX_SAFE_INTEGER)
}
